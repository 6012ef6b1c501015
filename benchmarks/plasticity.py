"""How much a session learns, by its own loss, and what class nouns pay for it: a row per way.

    python -m benchmarks.plasticity --photos FOLDER --class cat --way "distill_weight=1"
                                    --way "distill_weight=2 steps=400" [--out FOLDER]

FOLDER holds one subject's photos. Every way is lfsd's defaults with some settings changed, learns
them on the untouched base with the same seed, and is then asked, under noise that is the same for
all, for L_DM on the photos' subject at fixed timesteps (lower is more learned; it weighs shapes,
which the judge hardly does) and for the drift of prompts without the token. The defaults are the
first row. With --out, pictures of each way, plain and on a beach, without contexts, are kept there.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from PIL import Image

from lfsd.adapter import Adapter
from lfsd.base import BaseModel
from lfsd.data import PhotoLatents, encode_photos
from lfsd.errors import LfsdError
from lfsd.lifelong import LifelongModel
from lfsd.locate import POCKET
from lfsd.measure import Plan, prediction_drift
from lfsd.photos import PreparedPhoto
from lfsd.prompts import GENERIC, concept_words, fill
from lfsd.settings import Settings
from lfsd_cli.settings import settings_from

TOKEN = "V1"
PLACES = (0.5, 0.7, 0.85, 0.95)
"""Shares of the schedule at which L_DM is asked for: from texture to layout."""
NOISES = 3
SCENES = ("", " on a beach")
PICTURES = 4

Row = dict[str, float]


def plain_latents(
    base: BaseModel, photos: Sequence[PreparedPhoto], token: str, noun: str
) -> PhotoLatents:
    """A subject's photos as the loss is asked about: as they are, weighted by their subject."""
    return encode_photos(base, photos, token, noun, Settings(composites=0.0))


def subject_losses(
    base: BaseModel, adapter: Adapter, data: PhotoLatents, token: str, noun: str
) -> list[float]:
    """L_DM at each of `PLACES` under "a photo of a V1 cat"."""
    prompt = fill("a photo of a {}", concept_words(token, noun))
    return [subject_loss(base, adapter, data, prompt, place) for place in PLACES]


@torch.no_grad()
def subject_loss(
    base: BaseModel, adapter: Adapter, data: PhotoLatents, prompt: str, place: float
) -> float:
    """L_DM of the photos [P] under `prompt` at a share of the schedule, weighted by the subject.

    The mean over `NOISES` draws of noise, which are the same for every model that is asked.
    """
    clean, weights = data.plain, data.weights[: data.photos, 0]
    text = base.encode_text([prompt] * len(clean))
    t = int(place * base.num_train_timesteps)
    at = torch.full((len(clean),), t, device=clean.device)
    generator = torch.Generator().manual_seed(t)
    found = []
    with adapter.merged():
        for _ in range(NOISES):
            noise = torch.randn(clean.shape, generator=generator).to(clean)
            predicted = base.predict(base.add_noise(clean, noise, at), t, text)
            error = (predicted - base.target(clean, noise, at)).square().mean(1)
            found.append(float((error * weights).mean()))
    return fmean(found)


def figures(model: LifelongModel, photos: Path, noun: str) -> Row:
    """What the one session of `model` came to."""
    base, adapter = model.stand_at(model.store.head)
    taken = model.preflight([photos], "V2", noun).photos
    data = plain_latents(base, taken, TOKEN, noun)
    losses = subject_losses(base, adapter, data, TOKEN, noun)
    row = {f"L_DM {place}": loss for place, loss in zip(PLACES, losses, strict=True)}
    own = [fill("a photo of a {}", noun) + scene for scene in SCENES]
    drift = prediction_drift(base, adapter, [*own, *GENERIC], Plan())
    row[f'drift of "{noun}"'] = fmean(drift[p] for p in own)
    row["of other prompts"] = fmean(drift[p] for p in GENERIC)
    report = model.measure().to_dict()
    return row | {"fidelity": report["fidelity"][TOKEN]}


def sheet(model: LifelongModel, noun: str) -> Image.Image:
    """Pictures of the concept, plain and on a beach, in a row."""
    prompt = fill("a photo of a {}", concept_words(TOKEN, noun))
    drawn = [
        picture.image
        for scene in SCENES
        for picture in model.generate(prompt + scene, n=PICTURES, seed=0, context=False)
    ]
    whole = Image.new("RGB", (drawn[0].width * len(drawn), drawn[0].height))
    for i, image in enumerate(drawn):
        whole.paste(image, (i * image.width, 0))
    return whole


def settings_of(way: str) -> Settings:
    """lfsd's defaults changed as "key=value key=value" says; UsageError for what is no setting."""
    return settings_from({"measure": False}, way.split())


def run(way: str, photos: Path, noun: str, base: str = POCKET, out: Path | None = None) -> Row:
    """Learn the photos in this way and look."""
    settings = settings_of(way)
    with (
        tempfile.TemporaryDirectory() as folder,
        LifelongModel.create(Path(folder) / "home", base) as model,
    ):
        model.learn([photos], token=TOKEN, class_noun=noun, settings=settings)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            sheet(model, noun).save(out / f"{way.replace(' ', '+') or 'defaults'}.png")
        return figures(model, photos, noun)


def table(rows: dict[str, Row]) -> str:
    """Markdown, a line per way."""
    names = list(next(iter(rows.values())))
    lines = [["way", *names], ["---", *("---:" for _ in names)]]
    lines += [[way or "defaults", *(f"{row[n]:.4f}" for n in names)] for way, row in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 and a plain line for bad photos or settings."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plasticity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--class", dest="noun", required=True)
    parser.add_argument("--way", action="append", default=[], help="key=value key=value")
    parser.add_argument("--base", default=POCKET)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(arguments)
    ways = ["", *args.way]
    try:
        for way in ways:
            settings_of(way)  # a slip is told before anything is learned
        rows = {way: run(way, args.photos, args.noun, args.base, args.out) for way in ways}
    except LfsdError as error:
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
