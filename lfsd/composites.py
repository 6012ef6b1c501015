"""The photos' subjects on plain colours that the prompt names, so that it owns the background."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from lfsd.photos import PreparedPhoto
from lfsd.prompts import COLOURS, ON_COLOUR, fill

SUBJECT_SHARE = 0.8
"""Longer side of the subject's box / side of the picture."""


def composites(
    photos: Sequence[PreparedPhoto], words: str, each: int = 3
) -> tuple[list[np.ndarray], list[list[str]]]:
    """`each` pictures [h,w,3] uint8 of every photo's subject, and the prompt of each picture."""
    names = list(COLOURS)
    pictures, prompts = [], []
    for i, photo in enumerate(photos):
        subject, mask = centred(photo)
        for j in range(each):
            name = names[(i * each + j) % len(names)]
            ground = Image.new("RGB", subject.size, COLOURS[name])
            pictures.append(np.asarray(Image.composite(subject, ground, mask)))
            prompts.append([fill(ON_COLOUR.replace("COLOUR", name), words)])
    return pictures, prompts


def centred(photo: PreparedPhoto) -> tuple[Image.Image, Image.Image]:
    """The photo moved so that its subject stands in the middle, and the subject's mask there.

    All photos of a subject then agree on where it is and how large: a few steps do not have to
    learn that as well. What lies beyond the photo's edge is not masked in.
    """
    width, height = photo.image.size
    mask = Image.fromarray((photo.mask * 255).astype(np.uint8), "L").resize((width, height))
    box = mask.point(lambda value: 255 * (value > 127)).getbbox() or (0, 0, width, height)
    left, top, right, bottom = box
    scale = max((right - left) / width, (bottom - top) / height) / SUBJECT_SHARE
    x, y = (left + right - scale * width) / 2, (top + bottom - scale * height) / 2
    moved = [
        picture.transform(
            (width, height),
            Image.Transform.AFFINE,
            (scale, 0, x, 0, scale, y),
            Image.Resampling.BICUBIC,
        )
        for picture in (photo.image.convert("RGB"), mask)
    ]
    return moved[0], moved[1]
