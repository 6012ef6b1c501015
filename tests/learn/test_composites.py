"""Subjects on plain colours."""

import numpy as np
import pytest
from PIL import Image

from lfsd.composites import SUBJECT_SHARE, Cutout, centred, composites
from lfsd.prompts import COLOURS

SIDE = 64


def square_at(left: int, top: int, side: int) -> Cutout:
    """A red square on green, masked."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, :] = (0, 200, 0)
    pixels[top : top + side, left : left + side] = (200, 0, 0)
    mask = (pixels[..., 0] > 0).astype(np.float32)
    return Image.fromarray(pixels), mask


@pytest.mark.parametrize("place", [(0, 0, 20), (40, 10, 24), (4, 4, 56), (30, 30, 10)])
def test_the_subject_stands_in_the_middle_at_one_size(place: tuple[int, int, int]) -> None:
    picture, mask = centred(square_at(*place))
    left, top, right, bottom = mask.point(lambda v: 255 * (v > 127)).getbbox() or (0, 0, 0, 0)
    for low, high in ((left, right), (top, bottom)):
        assert (low + high) / 2 == pytest.approx(SIDE / 2, abs=2)
        assert high - low == pytest.approx(SIDE * SUBJECT_SHARE, abs=4)
    assert picture.getpixel((SIDE // 2, SIDE // 2)) == (200, 0, 0)


def test_a_picture_without_a_subject_has_none_cut_out() -> None:
    picture, _ = square_at(10, 10, 30)
    _, mask = centred((picture, np.zeros((SIDE, SIDE), np.float32)))
    assert not np.asarray(mask).any()


def test_prompts_name_the_colour_and_hold_the_words() -> None:
    pictures, prompts = composites([square_at(0, 0, 20)] * 4, "V1 cat")
    assert len(pictures) == len(prompts) == 12
    for picture, (prompt,) in zip(pictures, prompts, strict=True):
        assert "V1 cat" in prompt
        (name,) = [n for n in COLOURS if f"plain {n} background" in prompt]
        assert tuple(picture[0, 0]) == COLOURS[name]
        assert tuple(picture[SIDE // 2, SIDE // 2]) == (200, 0, 0)


def test_colours_begin_where_they_are_told_to() -> None:
    _, prompts = composites([square_at(0, 0, 20)] * 2, "V1 cat", each=1, first=len(COLOURS) - 1)
    names = list(COLOURS)
    assert names[-1] in prompts[0][0] and names[0] in prompts[1][0]
