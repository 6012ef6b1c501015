"""What is done to a soft mask: smoothing along the picture, sharpening, pieces, finer edges."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from lfsd.lab import F32, Ints, srgb_to_lab

REFINE_SIDE = 256


def random_walk(chance: F32, right: F32, down: F32, hold: float = 0.08) -> F32:
    """Minimise sum w (x_i - x_j)^2 + hold sum (x - chance)^2 by conjugate gradients."""

    def apply(x: F32) -> F32:
        y = hold * x
        flow = right * (x[:, 1:] - x[:, :-1])
        y[:, 1:] += flow
        y[:, :-1] -= flow
        flow = down * (x[1:] - x[:-1])
        y[1:] += flow
        y[:-1] -= flow
        return y

    x = chance.copy()
    residual = hold * chance - apply(x)
    direction = residual.copy()
    norm = float((residual * residual).sum())
    for _ in range(40):
        if norm < 1e-6:
            break
        moved = apply(direction)
        step = norm / float((direction * moved).sum())
        x += step * direction
        residual -= step * moved
        fresh = float((residual * residual).sum())
        direction = residual + (fresh / norm) * direction
        norm = fresh
    return np.clip(x, 0, 1)


def enclosed(mask: F32) -> F32:
    """Raise what has subject on all four sides (a white clock face inside its ring)."""
    left = np.maximum.accumulate(mask, axis=1)
    right = np.maximum.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    up = np.maximum.accumulate(mask, axis=0)
    down = np.maximum.accumulate(mask[::-1], axis=0)[::-1]
    inside = np.minimum(np.minimum(left, right), np.minimum(up, down))
    return np.maximum(mask, 0.85 * inside)


def sharpen(mask: F32, steepness: float = 10.0) -> F32:
    """Push towards 0 and 1 about the level that best parts the two (Otsu)."""
    level = float(np.clip(otsu(mask), 0.25, 0.65))
    return (1 / (1 + np.exp(-steepness * (mask - level)))).astype(np.float32)


def otsu(values: F32) -> float:
    """The level in 0..1 with the greatest variance between the two sides."""
    counts, edges = np.histogram(values, bins=64, range=(0.0, 1.0))
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    above = below[-1] - below
    valid = (below > 0) & (above > 0)
    if not valid.any():
        return 0.5
    gap = sums[-1] * below - sums * below[-1]
    score = np.where(valid, np.square(gap) / np.maximum(below * above, 1), 0)
    return float(edges[1:][int(score.argmax())])


def components(solid: npt.NDArray[np.bool_]) -> tuple[Ints, int]:
    """4-connected pieces: labels [h, w] (0 = outside, 1..count)."""
    height, width = solid.shape
    ids = np.where(solid, np.arange(1, height * width + 1).reshape(height, width), 0)
    while True:
        spread = ids.copy()
        spread[1:] = np.maximum(spread[1:], ids[:-1])
        spread[:-1] = np.maximum(spread[:-1], ids[1:])
        spread[:, 1:] = np.maximum(spread[:, 1:], ids[:, :-1])
        spread[:, :-1] = np.maximum(spread[:, :-1], ids[:, 1:])
        spread = np.where(solid, spread, 0)
        # Jump to the label of the pixel that gave the label: long snakes settle in few rounds.
        spread = np.where(solid, np.concatenate([[0], spread.ravel()])[spread], 0)
        if np.array_equal(spread, ids):
            break
        ids = spread
    names, labels = np.unique(ids, return_inverse=True)
    labels = labels.reshape(height, width)
    if names[0] != 0:
        labels = labels + 1
    return labels, int(labels.max())


def refine_mask(image: Image.Image, mask: F32, radius_share: float = 0.02) -> F32:
    """Move the mask's edges onto the picture's (guided filter, He et al. 2010).

    image: RGB [H, W], mask: [H, W]; same size out. Each Lab channel guides on its own and counts
    as far as it explains the mask. The fit is made on a small copy (He and Sun 2015) and applied
    at full size.
    """
    side = max(image.size)
    scale = min(1.0, REFINE_SIDE / side)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BOX)
    lab = srgb_to_lab(np.asarray(small)) / 100
    rough = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BOX), np.float32)
    radius = max(2, round(radius_share * max(size)))
    mean_m = blur(rough, radius)
    slopes, offsets, weights = np.zeros_like(lab), np.zeros_like(rough), np.zeros_like(rough)
    for channel in range(3):
        guide = lab[..., channel]
        mean_g = blur(guide, radius)
        covariance = blur(guide * rough, radius) - mean_g * mean_m
        variance = np.maximum(blur(guide * guide, radius) - mean_g * mean_g, 0) + 1e-3
        slope = covariance / variance
        trust = covariance * slope + 1e-4  # the part of the mask's variance it explains
        slopes[..., channel] = trust * blur(slope, radius)
        offsets += trust * blur(mean_m - slope * mean_g, radius)
        weights += trust
    fine = lab if scale == 1.0 else srgb_to_lab(np.asarray(image)) / 100
    result = _enlarge(offsets / weights, image.size)
    for channel in range(3):
        result = result + _enlarge(slopes[..., channel] / weights, image.size) * fine[..., channel]
    return np.clip(result, 0, 1).astype(np.float32)


def _enlarge(values: F32, size: tuple[int, int]) -> F32:
    if values.shape == size[::-1]:
        return values
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR), np.float32)


def blur(values: F32, radius: int) -> F32:
    """Mean over a (2 radius + 1) square, edges repeated, by running sums."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(values, width, mode="edge"), axis=axis, dtype=np.float64)
        n, span = values.shape[axis], 2 * radius + 1
        upper = np.take(sums, np.arange(span, span + n), axis=axis)
        lower = np.take(sums, np.arange(0, n), axis=axis)
        values = ((upper - lower) / span).astype(np.float32)
    return values
