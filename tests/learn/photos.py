"""Five small synthetic photos: a coloured disc that moves over a striped background."""

from pathlib import Path

import numpy as np
from PIL import Image

from lfsd.photos import PreparedPhoto


def disc_photos(
    count: int = 5, side: int = 32, colour: tuple[int, int, int] = (220, 60, 40)
) -> list[PreparedPhoto]:
    """Photos with exact subject masks, as intake would prepare them."""
    rng = np.random.default_rng(sum(colour))
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    photos = []
    for i in range(count):
        centre = rng.uniform(0.35, 0.65, 2) * side
        mask = (((grid - centre[:, None, None]) ** 2).sum(0) < (0.25 * side) ** 2).astype("float32")
        ground = np.where((grid[0] // 4 % 2)[..., None], (90, 120, 90), (120, 150, 120))
        pixels = np.where(mask[..., None] > 0, colour, ground).astype(np.uint8)
        photos.append(
            PreparedPhoto(
                path=Path(f"disc{i}.png"),
                name=f"disc{i}.png",
                sha256=f"{i:064x}",
                image=Image.fromarray(pixels),
                crop=(0, 0, side, side),
                mask=mask,
                caption=None,
            )
        )
    return photos
