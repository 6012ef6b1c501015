"""`lfsd learn`: one session, from photos to a measured, committed concept."""

import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.errors import ExitCode, Failure
from lfsd_cli.learned import show_intake, show_session
from lfsd_cli.progress import Narrator
from lfsd_cli.settings import settings_from
from lfsd_cli.signals import StopOnSignal

if TYPE_CHECKING:
    from lfsd.lifelong import LifelongModel
    from lfsd.photos import Intake
    from lfsd.settings import Settings
    from store.records import Session

PREVIEWS_PER_SESSION = 2
STORE_WAIT = 120.0


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "learn",
        examples=[
            "lfsd learn ./photos --token V1 --class cat",
            "lfsd learn a.jpg b.heic c.png --token V2 --class 'teddy bear'",
            "lfsd learn ./photos --token V3 --class dog --dry-run    look at the crops first",
            "lfsd learn ./photos --token V3 --class dog --resume     after Ctrl-C or a crash",
            "lfsd learn ./photos --token V3 --class dog --set distill_weight=5 --set icgen=canvas",
            "accelerate launch -m lfsd_cli learn ./photos --token V3 --class dog     several GPUs",
        ],
        exits=[code for code in ExitCode if code is not ExitCode.NOT_FOUND],
    )(learn)


def learn(
    call: Call,
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTOS...", help="Photos, or folders of photos.")
    ],
    token: Annotated[
        str, typer.Option("--token", metavar="TOKEN", help="The new name, such as V1 or Max.")
    ],
    class_noun: Annotated[
        str, typer.Option("--class", metavar="NOUN", help="What it is: cat, teapot, 'teddy bear'.")
    ],
    captions: Annotated[
        Path | None,
        typer.Option("--captions", metavar="DIR", help="Folder of <photo name>.txt captions."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Training steps.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the session.")] = None,
    rank: Annotated[int | None, typer.Option("--rank", help="LoRA rank (first session).")] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Photos per step (more in the first sessions).")
    ] = None,
    distill: Annotated[
        bool,
        typer.Option(
            "--distill/--no-distill", help="Keep what was learned before by data-free distillation."
        ),
    ] = True,
    contexts: Annotated[
        int | None,
        typer.Option("--contexts", metavar="N", help="Vision contexts to keep; pictures use four."),
    ] = None,
    thumbnail: Annotated[
        bool,
        typer.Option(
            "--thumbnail", help="Keep one small photo in the store, to show what the concept is."
        ),
    ] = False,
    resolution: Annotated[
        int | None, typer.Option("--resolution", metavar="PX", help="Side of the crops in pixels.")
    ] = None,
    preview_every: Annotated[
        int | None,
        typer.Option("--preview-every", metavar="N", help="Steps between previews; 0 for none."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, float32, bf16 or fp16.")
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; repeat as needed."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 if any photo was refused.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which photos would be used, and how.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted session.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait while another process writes to the store.")
    ] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")
    ] = False,
) -> None:
    """Teach the model a new subject from photos.

    Earlier subjects keep working: a frozen copy of the model as it was teaches the new one.

    The first Ctrl-C finishes the step, writes a checkpoint and prints the command that goes on;
    the second stops at once.
    """
    settings = settings_from(
        {
            "steps": steps,
            "seed": seed,
            "rank": rank,
            "batch": batch,
            "distill": distill if not distill else None,
            "contexts": contexts,
            "thumbnail": thumbnail or None,
            "device": device,
            "precision": precision,
            "resolution": resolution,
            "preview_every": preview_every,
        },
        extra or [],
    )
    if preview_every is None and "preview_every" not in " ".join(extra or []):
        settings = settings.changed(preview_every=settings.steps // PREVIEWS_PER_SESSION)
    wanted = Wanted(photos, token, class_noun, captions, settings)
    with Narrator(call.out) as narrator, _open(call, wanted, dry_run=dry_run) as model:
        if dry_run:
            refused = show_intake(call, narrator, wanted.check(model), token, class_noun)
        else:
            session = _learn(call, narrator, model, wanted, resume=resume, wait=wait)
            refused = show_session(call, narrator, session)
    if strict and refused:
        raise typer.Exit(ExitCode.PARTLY)


@dataclass(frozen=True)
class Wanted:
    """What the command line asks to be learned."""

    photos: list[Path]
    token: str
    class_noun: str
    captions: Path | None
    settings: "Settings"

    def check(self, model: "LifelongModel") -> "Intake":
        """Raise what `learn` would raise for the token, the class and the photos."""
        return model.preflight(
            self.photos, self.token, self.class_noun, self.captions, settings=self.settings
        )


@contextmanager
def _open(call: Call, wanted: Wanted, *, dry_run: bool) -> Iterator["LifelongModel"]:
    """The user's model; a first `learn` makes a store on the embedded base by itself.

    Without a store, everything is checked in a passing one first, so that a wrong token or an
    empty folder leaves nothing behind.
    """
    from lfsd.lifelong import LifelongModel
    from store.store import Store

    settings = wanted.settings
    if not Store.exists(call.home):
        with TemporaryDirectory(prefix="lfsd-") as folder:
            with LifelongModel.create(Path(folder) / "store") as passing:
                if dry_run:
                    yield passing
                    return
                wanted.check(passing)
        if call.out.silent:
            _await_store(call.home)
        else:
            call.out.note(f"making a new store in {call.home}, on the embedded base")
            LifelongModel.create(call.home).close()
    with LifelongModel.open(
        call.home, device=settings.device, precision=settings.precision
    ) as model:
        yield model


def _await_store(home: Path) -> None:
    """Under `accelerate launch` the first process makes the store; the others wait for it here."""
    from store.errors import NotFoundError
    from store.store import Store

    latest = time.monotonic() + STORE_WAIT
    while not Store.exists(home):
        if time.monotonic() > latest:
            raise NotFoundError(
                f"the first process made no store in {home}",
                "all machines of a launch need the same --home",
            )
        time.sleep(0.1)


def _learn(
    call: Call,
    narrator: Narrator,
    model: "LifelongModel",
    wanted: Wanted,
    *,
    resume: bool,
    wait: bool,
) -> "Session":
    """Run the session; on a stop, add the command that resumes it to the error."""
    from lfsd.errors import InterruptedLearning

    def heard() -> None:
        narrator.say("stopping after this step; press Ctrl-C again to stop at once")

    with StopOnSignal(heard) as stop:
        try:
            return model.learn(
                wanted.photos,
                token=wanted.token,
                class_noun=wanted.class_noun,
                settings=wanted.settings,
                captions=wanted.captions,
                resume=resume,
                wait=wait,
                on_event=narrator,
                should_stop=stop.stopping,
            )
        except InterruptedLearning as interruption:
            hint = f"go on with: {resume_command(call.argv)}"
            if stop.received == signal.SIGTERM:
                name = type(interruption).__name__
                call.out.failure(Failure(name, interruption.message, hint, ExitCode.TERMINATED))
                raise typer.Exit(ExitCode.TERMINATED) from None
            raise InterruptedLearning(interruption.message, hint) from None


def resume_command(argv: tuple[str, ...]) -> str:
    """The command line that goes on with the session that `argv` (without the program) began."""
    words = ["lfsd", *argv]
    return shlex.join(words if "--resume" in words else [*words, "--resume"])
