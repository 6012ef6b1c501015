"""The photos' subjects on plain colours that the prompt names, so that it owns the background."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from lfsd.prompts import COLOURS, ON_COLOUR, fill

SUBJECT_SHARE = 0.8
"""Longer side of the subject's box / side of the picture."""


Cutout = tuple[Image.Image, np.ndarray]
"""A picture and the mask [h,w] of its subject, 0..1, of any size."""


def composites(
    cutouts: Sequence[Cutout], words: str, each: int = 3, first: int = 0
) -> tuple[list[np.ndarray], list[list[str]]]:
    """`each` pictures [h,w,3] uint8 of every cutout's subject, and the prompt of each picture.

    Colours take turns, beginning with the `first`.
    """
    names = list(COLOURS)
    pictures, prompts = [], []
    for i, cutout in enumerate(cutouts):
        subject, mask = centred(cutout)
        for j in range(each):
            name = names[(first + i * each + j) % len(names)]
            ground = Image.new("RGB", subject.size, COLOURS[name])
            pictures.append(np.asarray(Image.composite(subject, ground, mask)))
            prompts.append([fill(ON_COLOUR.replace("COLOUR", name), words)])
    return pictures, prompts


def centred(cutout: Cutout) -> tuple[Image.Image, Image.Image]:
    """The picture moved so that its subject stands in the middle, and the subject's mask there.

    All photos of a subject then agree on where it is and how large: a few steps do not have to
    learn that as well. What lies beyond the picture's edge is not masked in.
    """
    picture, shares = cutout
    width, height = picture.size
    mask = Image.fromarray((shares * 255).astype(np.uint8), "L").resize((width, height))
    box = mask.point(lambda value: 255 * (value > 127)).getbbox() or (0, 0, width, height)
    left, top, right, bottom = box
    scale = max((right - left) / width, (bottom - top) / height) / SUBJECT_SHARE
    x, y = (left + right - scale * width) / 2, (top + bottom - scale * height) / 2
    moved = [
        part.transform(
            (width, height),
            Image.Transform.AFFINE,
            (scale, 0, x, 0, scale, y),
            Image.Resampling.BICUBIC,
        )
        for part in (picture.convert("RGB"), mask)
    ]
    return moved[0], moved[1]
