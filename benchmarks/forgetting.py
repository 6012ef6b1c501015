"""DFKD off and on, replay with it, ICGen on and off, who teaches and whose trajectory: one table.

    python -m benchmarks.forgetting --photos FOLDER [--sessions cat=cat,dog=dog,...] [--steps N]
                                    [--out FOLDER]

FOLDER holds one folder of photos per subject. Every method learns the same sessions from the same
photos with the same seeds; figures come from the same full report. With --out, a contact sheet of
every concept after the last session and the raw figures as JSON lines are written there.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from PIL import Image

from lfsd.lifelong import LifelongModel
from lfsd.settings import Settings

SESSIONS = "cat=cat,dog=dog,teapot=teapot,rc_car=car,bear_plushie=teddy bear"
METHODS = {
    "naive": {"distill": False, "replay": 0, "batch": 4},
    "DFKD": {"replay": 0, "batch": 4},
    "DFKD + replay": {},
    "previous teaches all": {"teacher": "previous"},
    "student's trajectory": {"trajectory": "student", "pool_size": 8},
}
"""Settings changed. The third is lfsd's default: a step has three photos, two rows of the pool and
up to four of contexts. With replay, photos take the rows that there are no earlier concepts for:
more photos in the first three sessions than naive and DFKD see. The last two,
run when asked for, are the teacher as the paper has it, and the paper's ablation (Fig. 5), which
makes a pool for every 25 steps and so needs a smaller one."""
ABLATIONS = ("previous teaches all", "student's trajectory")
PROMPTS = ("a photo of a {} {}", "a photo of a {} {} on a beach")


@dataclass(frozen=True)
class Outcome:
    """What one method came to after the last session."""

    method: str
    figures: dict[str, float]


def learn_all(home: Path, sessions: list[tuple[Path, str]], settings: Settings) -> LifelongModel:
    """A store in `home` with every session learned, one after another."""
    model = LifelongModel.create(home)
    for number, (photos, noun) in enumerate(sessions, 1):
        model.learn([photos], token=f"V{number}", class_noun=noun, settings=settings)
    return model


def figures(model: LifelongModel, seconds: float) -> dict[str, float]:
    """The means a reader compares, with contexts and without."""
    fed = model.measure().to_dict()
    bare = model.measure(context=False).to_dict()
    rows = fed["matrix"]["fidelity"]
    last, first = len(rows) - 1, fed["matrix"]["concepts"][0]
    return {
        "fidelity when learned": mean(rows[i][i] for i in range(len(rows))),
        "fidelity at the end": mean(rows[last]),
        "PCF change": mean(v["change"] for v in fed["pcf"].values()) if fed["pcf"] else 0.0,
        "RCF drift": mean(v["drift"] for v in fed["rcf"].values()),
        "RCF toward": mean(v["toward"] for v in fed["rcf"].values()),
        "confusion": 1 - mean(v[k] for k, v in fed["confusion"].items()),
        "first concept, ICGen": fed["fidelity"][first],
        "first concept, no ICGen": bare["fidelity"][first],
        "alignment, ICGen": mean(fed["text_alignment"].values()),
        "alignment, no ICGen": mean(bare["text_alignment"].values()),
        "seconds per session": seconds,
    }


def sheet(model: LifelongModel, path: Path) -> None:
    """Every concept in every prompt, with its contexts and without: one row per concept."""
    rows = []
    for concept in model.concepts():
        drawn = [
            model.generate(
                p.format(concept.token, concept.class_noun), seed=5, context=fed, context_blend=0.0
            )[0]
            for p in PROMPTS
            for fed in (True, False)
        ]
        rows.append([picture.image for picture in drawn])
    side = rows[0][0].width
    whole = Image.new("RGB", (side * len(rows[0]), side * len(rows)))
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            whole.paste(image, (x * side, y * side))
    whole.save(path)


def run(
    method: str, sessions: list[tuple[Path, str]], steps: int | None, out: Path | None
) -> Outcome:
    """Learn, measure and draw with one method."""
    settings = Settings(measure=False).changed(**METHODS[method])
    if steps:
        settings = settings.changed(steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with learn_all(Path(folder) / "home", sessions, settings) as model:
            outcome = Outcome(method, figures(model, (time.perf_counter() - began) / len(sessions)))
            if out:
                out.mkdir(parents=True, exist_ok=True)
                sheet(model, out / f"{method.replace(' ', '-')}.png")
                with (out / "figures.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"method": method, **outcome.figures}) + "\n")
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--sessions", default=SESSIONS)
    parser.add_argument("--methods", default=",".join(m for m in METHODS if m not in ABLATIONS))
    parser.add_argument("--ablation", action="store_true", help="other teacher and path as well")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    pairs = [s.split("=") for s in args.sessions.split(",")]
    sessions = [(args.photos / folder, noun) for folder, noun in pairs]
    methods = args.methods.split(",") + (list(ABLATIONS) if args.ablation else [])
    outcomes = [run(m, sessions, args.steps, args.out) for m in methods]
    print("| figure | " + " | ".join(o.method for o in outcomes) + " |")
    print("|---" * (len(outcomes) + 1) + "|")
    for name in outcomes[0].figures:
        print(f"| {name} | " + " | ".join(f"{o.figures[name]:.4f}" for o in outcomes) + " |")


if __name__ == "__main__":
    main()
