"""Subjects on plain colours."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lfsd.composites import SUBJECT_SHARE, centred, composites
from lfsd.photos import PreparedPhoto
from lfsd.prompts import COLOURS
from tests.learn.photos import disc_photos

SIDE = 64


def square_at(left: int, top: int, side: int) -> PreparedPhoto:
    """A red square on green, masked."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, :] = (0, 200, 0)
    pixels[top : top + side, left : left + side] = (200, 0, 0)
    mask = (pixels[..., 0] > 0).astype(np.float32)
    return replace(disc_photos(1)[0], image=Image.fromarray(pixels), mask=mask)


@pytest.mark.parametrize("place", [(0, 0, 20), (40, 10, 24), (4, 4, 56), (30, 30, 10)])
def test_the_subject_stands_in_the_middle_at_one_size(place: tuple[int, int, int]) -> None:
    picture, mask = centred(square_at(*place))
    left, top, right, bottom = mask.point(lambda v: 255 * (v > 127)).getbbox() or (0, 0, 0, 0)
    for low, high in ((left, right), (top, bottom)):
        assert (low + high) / 2 == pytest.approx(SIDE / 2, abs=2)
        assert high - low == pytest.approx(SIDE * SUBJECT_SHARE, abs=4)
    assert picture.getpixel((SIDE // 2, SIDE // 2)) == (200, 0, 0)


def test_a_photo_without_a_mask_is_shown_whole() -> None:
    photo = square_at(10, 10, 30)
    _, mask = centred(replace(photo, mask=np.zeros((SIDE, SIDE), np.float32)))
    assert not np.asarray(mask).any()


def test_prompts_name_the_colour_and_hold_the_words() -> None:
    pictures, prompts = composites([square_at(0, 0, 20)] * 4, "V1 cat")
    assert len(pictures) == len(prompts) == 12
    for picture, (prompt,) in zip(pictures, prompts, strict=True):
        assert "V1 cat" in prompt
        (name,) = [n for n in COLOURS if f"plain {n} background" in prompt]
        assert tuple(picture[0, 0]) == COLOURS[name]
        assert tuple(picture[SIDE // 2, SIDE // 2]) == (200, 0, 0)
