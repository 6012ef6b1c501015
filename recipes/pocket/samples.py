"""Stage 8, `samples`: few-shot sets of held-out subjects for the demo and the tests, five small JPEGs each.

    python -m recipes.pocket.samples --work WORK [--out lfsd/samples]

Pictures are composites, so their licence is that of the cut-out: tuxpaint-stamps (GPL-2) or Fluent emoji (MIT).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recipes.pocket.world import Rows, World

#: folder -> (name of a held-out subject, style, class noun)
SETS = {
    "poodle": ("poodle", "render", "dog"),
    "rubber_duck": ("rubber duck", "photo", "toy"),
    "kettle": ("kettle", "photo", "teapot"),
    "sports_car": ("sports car", "photo", "car"),
    "fedora": ("green fedora", "cartoon", "hat"),
    "black_cat": ("black cat", "render", "cat"),
    "handbag": ("handbag", "render", "bag"),
    "hiking_boot": ("hiking boot", "render", "boot"),
    "alarm_clock": ("alarm clock", "render", "clock"),
    "teddy_bear": ("teddy bear", "render", "teddy bear"),
}
SCENES = ("grass", "wooden floor", "white background", "beach", "indoors")
LICENCES = {
    "stamp": ("GPL-2.0-only", "Tux Paint stamps (Debian package tuxpaint-stamps-default)"),
    "emoji": ("MIT", "Fluent Emoji by Microsoft (npm package @lobehub/fluent-emoji-3d)"),
}


def compose_set(world: World, subject: int, out: Path, seed: int) -> None:
    """Write one picture of the subject in each of `SCENES`, as `out`/00.jpg and so on."""
    members = [int(np.flatnonzero(world.scene_of == world.scenes.index(s))[7]) for s in SCENES]
    n = len(SCENES)
    rows = Rows(np.full(n, subject), np.full(n, -1), np.array(members), np.full(n, -1), [], [], [])
    pictures = world.compose(rows, np.arange(n), torch.Generator().manual_seed(int(seed)))
    out.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        array = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(array).save(out / f"{i:02d}.jpg", quality=95)


def make(world: World, out: Path) -> dict[str, dict[str, str]]:
    listing = {}
    for folder, (name, style, noun) in SETS.items():
        (subject,) = [
            i
            for i in world.pool(held_out=True)
            if world.subjects[i].name == name and world.subjects[i].style == style
        ][:1]
        compose_set(world, subject, out / folder, seed=len(folder))
        licence, source = LICENCES[world.subjects[subject].id.split("-")[0]]
        listing[folder] = {"class": noun, "license": licence, "source": source}
    (out / "samples.json").write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8")
    return listing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    parser.add_argument("--out", type=Path, default=Path("lfsd/samples"))
    args = parser.parse_args()
    world = World(args.work / "world", "cpu", per_scene=10, seed=77)
    print(", ".join(make(world, args.out)))


if __name__ == "__main__":
    main()
