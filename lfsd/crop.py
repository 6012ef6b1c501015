"""Where to cut a photo: the square that keeps the subject."""

from collections.abc import Sequence

import numpy as np

from lfsd.photo_files import FloatArray

TIGHTEST_CROP = 0.4  # of the shorter side: a wrong mask must not cost most of the photo
SUBJECT_MARGIN = 1.2  # side of the crop / longer side of the subject's box


def choose_crop(
    mask: FloatArray, full_size: tuple[int, int], resolution: int
) -> tuple[int, int, int, int]:
    """The square that keeps the subject with some room around it, in pixels of the upright photo.

    mask: [h, w] of the whole photo at any scale. The square is never smaller than `resolution`
    (nothing is enlarged without need) nor than TIGHTEST_CROP of the shorter side.
    """
    width, height = full_size
    short = min(width, height)
    solid = np.square(mask)  # faint haze must not widen the box
    left, right = _extent(solid.sum(axis=0), width)
    top, bottom = _extent(solid.sum(axis=1), height)
    wanted = max(right - left, bottom - top) * SUBJECT_MARGIN
    side = round(min(short, max(wanted, TIGHTEST_CROP * short, min(resolution, short))))
    x = _place((left + right) / 2, side, width)
    y = _place((top + bottom) / 2, side, height)
    return x, y, x + side, y + side


def _extent(profile: FloatArray, length: int) -> tuple[float, float]:
    """First and last pixel of the subject along one axis, leaving out 1% of its mass each side."""
    total = float(profile.sum())
    if total <= 1e-6:
        return 0.0, float(length)
    cumulative = np.concatenate([[0.0], np.cumsum(profile, dtype=np.float64)]) / total
    cells = np.arange(len(cumulative)) * (length / len(profile))
    return float(np.interp(0.01, cumulative, cells)), float(np.interp(0.99, cumulative, cells))


def _place(centre: float, side: int, length: int) -> int:
    return max(0, min(length - side, round(centre - side / 2)))


def rescaled(
    box: Sequence[float], source: tuple[int, int], target: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The same box of a picture at another size, kept inside it."""
    x, y = target[0] / source[0], target[1] / source[1]
    right, bottom = min(box[2] * x, target[0]), min(box[3] * y, target[1])
    return max(box[0] * x, 0.0), max(box[1] * y, 0.0), right, bottom
