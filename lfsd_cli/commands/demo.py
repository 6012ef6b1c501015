"""`lfsd demo`: the whole of lfsd on bundled photos, in a few minutes, without a network."""

import json
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from shutil import copyfile
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lfsd_cli import preview
from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, learned_session
from lfsd_cli.errors import ExitCode
from lfsd_cli.forgetting import print_report
from lfsd_cli.pictures import grid
from lfsd_cli.progress import Narrator
from lfsd_cli.text import human_seconds

if TYPE_CHECKING:
    from lfsd.generate import Picture
    from lfsd.lifelong import LifelongModel

SEED = 7


@dataclass(frozen=True)
class Sample:
    """A bundled few-shot set: the folder's name, what it shows, the token it gets."""

    name: str
    class_noun: str
    token: str


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "demo",
        examples=["lfsd demo", "lfsd demo --out ./somewhere"],
        exits=[
            ExitCode.OK,
            ExitCode.FAILED,
            ExitCode.USAGE,
            ExitCode.RESOURCE,
            ExitCode.MODEL,
            ExitCode.INTERRUPTED,
        ],
    )(demo)


def demo(
    call: Call,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the pictures go.")
    ] = Path("lfsd-demo"),
    steps: Annotated[int, typer.Option("--steps", help="Training steps a session.")] = 120,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")
    ] = False,
) -> None:
    """See all of it on bundled photos.

    Learns two subjects one after the other, draws each and both, and measures what was kept.
    Works in a temporary folder: your own store is not touched.
    """
    from lfsd.lifelong import LifelongModel

    out.mkdir(parents=True, exist_ok=True)
    samples = bundled_samples()[:2]
    began = monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="lfsd-demo-") as home,
        Narrator(call.out) as narrator,
        LifelongModel.create(Path(home) / "store") as model,
    ):
        sessions = [_learn(model, narrator, sample, steps, out) for sample in samples]
        drawn = [_draw(model, narrator, name, prompt) for name, prompt in prompts(samples)]
        report = model.measure(quick=True, on_event=narrator).to_dict()
    images = [_save(picture, out / f"{name}.png") for name, picture in drawn]
    sheet = grid([picture.image for _, picture in drawn])
    sheet.save(out / "all.png")
    (out / "report.json").write_text(json.dumps(report, indent=2, default=str))

    def human() -> None:
        preview.show(call.out, sheet)
        for image in images:
            call.out.line(f"{image['path']}  {image['prompt']}")
        call.out.line(f"{out / 'all.png'}  all of them")
        call.out.line()
        print_report(call.out, report)
        call.out.note()
        call.out.note(f"took {human_seconds(monotonic() - began)}. Now with your own photos:")
        call.out.note("  lfsd learn ./photos --token V1 --class cat")

    call.out.result(
        {"schema": SCHEMA, "sessions": sessions, "images": images, "report": report},
        human=human,
        quiet=[image["path"] for image in images],
    )


def bundled_samples() -> list[Sample]:
    """The few-shot sets in the package, in the order of `samples.json`."""
    folder = files("lfsd") / "samples"
    known = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    return [
        Sample(name, str(facts["class"]), f"V{number}")
        for number, (name, facts) in enumerate(known.items(), 1)
    ]


def prompts(samples: list[Sample]) -> list[tuple[str, str]]:
    """(file name, prompt) of every picture of the demo: each subject twice, then both together."""
    wanted = []
    for sample in samples:
        subject = f"{sample.token} {sample.class_noun}"
        wanted.append((sample.token, f"a photo of a {subject}"))
        wanted.append((f"{sample.token}-beach", f"a {subject} on a beach"))
    both = " and a ".join(f"{sample.token} {sample.class_noun}" for sample in samples)
    return [*wanted, ("both", f"a {both}")]


def _learn(
    model: "LifelongModel", narrator: Narrator, sample: Sample, steps: int, out: Path
) -> dict[str, object]:
    from lfsd.settings import Settings

    narrator.say(f"learning {sample.token}: {sample.name} ({sample.class_noun})")
    settings = Settings(steps=steps)
    folder = Path(str(files("lfsd") / "samples" / sample.name))
    session = model.learn(
        [folder],
        token=sample.token,
        class_noun=sample.class_noun,
        settings=settings,
        on_event=narrator,
    )
    if narrator.contact_sheet is not None:  # it lies in the store, which is about to go
        copyfile(narrator.contact_sheet, out / f"photos-{sample.token}.png")
    return learned_session(session)


def _draw(
    model: "LifelongModel", narrator: Narrator, name: str, prompt: str
) -> tuple[str, "Picture"]:
    narrator.say(f"drawing: {prompt}")
    return name, model.generate(prompt, seed=SEED, on_event=narrator)[0]


def _save(picture: "Picture", path: Path) -> dict[str, Any]:
    from lfsd.png import save_png

    save_png(picture.image, picture.provenance, path)
    return {
        "path": str(path),
        "prompt": picture.provenance.get("prompt"),
        "seed": picture.seed,
        "concepts": list(picture.concepts),
    }
