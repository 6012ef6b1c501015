"""Stage 11, `evaluate_saliency`: how well subjects that no stage has seen are found in photos put together by the studio.

    python -m recipes.pocket.evaluate_saliency --work WORK [--sets 24]

Prints one JSON line per way: the mean intersection over union with the cut-out's alpha, and the share of photos in which it is under
a half. Four photos make a set. `network` is what `lfsd learn` uses; `one by one` shows it each photo alone; `colours` is what cut the world's
photographs out (`recipes.pocket.cutting`), without a network.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lfsd.lab import F32
from lfsd.saliency import subject_masks
from recipes.pocket.cutting import subject_mask
from recipes.pocket.evaluate import say, to_images
from recipes.pocket.studio import Studio
from recipes.pocket.world import World, photo_crops

PHOTOS = 4


def overlaps(masks: list[F32], alphas: F32) -> F32:
    """Intersection over union of each mask with its alpha [n,h,w], both cut at a half."""
    found, wanted = np.stack(masks) > 0.5, alphas > 0.5
    either = (found | wanted).sum((1, 2)).clip(min=1)
    return ((found & wanted).sum((1, 2)) / either).astype(np.float32)


def together(images: list[Image.Image]) -> list[F32]:
    return subject_masks(images, [None] * len(images))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    parser.add_argument("--sets", type=int, default=24)
    args = parser.parse_args()
    world = World(args.work / "world", "cpu", per_scene=4, seed=4242)
    crops = torch.from_numpy(photo_crops(world.photographs, 10, seed=4242)).permute(0, 3, 1, 2)
    torch.manual_seed(4242)
    studio = Studio(world, world.backgrounds, crops, held_out=True)
    found: dict[str, list[F32]] = {"network": [], "one by one": [], "colours": []}
    for _ in range(args.sets):
        pictures, alphas = studio.pictures(PHOTOS, PHOTOS)
        images, wanted = to_images(pictures), alphas[:, 0].numpy()
        found["network"].append(overlaps(together(images), wanted))
        found["one by one"].append(overlaps([together([i])[0] for i in images], wanted))
        found["colours"].append(overlaps([subject_mask(i) for i in images], wanted))
    for way, values in found.items():
        all_ = np.concatenate(values)
        say(figure=way, overlap=float(all_.mean()), missed=float((all_ < 0.5).mean()))


if __name__ == "__main__":
    main()
