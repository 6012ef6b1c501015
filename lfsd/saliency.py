"""Where the subject is: a soft mask for each photo of a set that shows one subject.

A small network (`lfsd/saliency_net.py`) looks at all photos together, then once more at the part of
each that it found. Colour models shared by the whole set then draw the outline (the subject is what
comes back from photo to photo, the background is what changes), in the manner of GrabCut (Rother et
al. 2004) with a random walk in place of the cut.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from lfsd.crop import choose_crop, rescaled
from lfsd.lab import F32, Ints, srgb_to_lab
from lfsd.mask_shapes import components, enclosed, random_walk, sharpen
from lfsd.saliency_net import log_odds

WORK_SIDE = 128
ROUNDS = 2
COLOURS = 0.6
"""How much colours say beside the network."""


@dataclass
class View:
    """One photo at working size: Lab, its colour bins, edge weights, and the mask so far."""

    lab: F32
    bins: Ints
    right: F32  # [h, w-1] how alike horizontal neighbours are, 0..1
    down: F32  # [h-1, w]
    mask: F32


def subject_masks(images: Sequence[Image.Image], alphas: Sequence[F32 | None]) -> list[F32]:
    """Soft subject masks [h, w] in 0..1, longer side about WORK_SIDE, one per photo.

    images: RGB photos of one subject. alphas: a cut-out's own transparency, or None.
    """
    views = [viewed(image) for image in images]
    prior = located(images, [view.mask.shape for view in views])
    own = [
        None if alpha is None else _resized(alpha, view.mask.shape)
        for alpha, view in zip(alphas, views, strict=True)
    ]

    def settle(masks: Sequence[F32]) -> None:
        for view, mask, alpha in zip(views, masks, own, strict=True):
            view.mask = mask if alpha is None else alpha

    settle([_chance(odds) for odds in prior])
    for _ in range(ROUNDS):
        settle(colour_round(views, prior, COLOURS))
    settle([without_haze(view.mask) for view in views])
    return [view.mask for view in views]


def located(images: Sequence[Image.Image], shapes: Sequence[tuple[int, ...]]) -> list[F32]:
    """Log odds of "subject" [h, w] from the network: the whole photos, then the parts it found."""
    whole = [_resized(odds, shape) for odds, shape in zip(log_odds(images), shapes, strict=True)]
    boxes = [
        choose_crop(_chance(odds), image.size, 1) for odds, image in zip(whole, images, strict=True)
    ]
    parts = log_odds([image.crop(box) for image, box in zip(images, boxes, strict=True)])
    for odds, part, box, image in zip(whole, parts, boxes, images, strict=True):
        corners = rescaled(box, image.size, odds.shape[::-1])
        left, top = (math.floor(corner) for corner in corners[:2])
        right, bottom = (math.ceil(corner) for corner in corners[2:])
        inside = odds[top:bottom, left:right]
        inside += (_resized(part, inside.shape) - inside) / 2
    return whole


def viewed(image: Image.Image) -> View:
    """An RGB picture at working size, nothing masked in."""
    scale = min(1.0, WORK_SIDE / max(image.size))
    size = (max(2, round(image.width * scale)), max(2, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    lab = srgb_to_lab(np.asarray(small))
    right = np.square(np.diff(lab, axis=1)).sum(-1)
    down = np.square(np.diff(lab, axis=0)).sum(-1)
    spread = float(right.mean()) + float(down.mean()) + 8.0
    return View(
        lab, _bins(lab), np.exp(-right / spread), np.exp(-down / spread), np.zeros(size[::-1], "f4")
    )


def without_haze(mask: F32) -> F32:
    """The mask with the last haze cut off: what is faint is background."""
    return np.clip((mask - 0.12) / 0.76, 0, 1)


def _resized(values: F32, shape: tuple[int, ...]) -> F32:
    size = (shape[1], shape[0])
    if values.shape == shape:
        return values.copy()
    return np.array(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))


def _chance(odds: F32) -> F32:
    return (1 / (1 + np.exp(-odds))).astype(np.float32)


# -- colour models over the whole set ---------------------------------------------------------

L_BINS, AB_BINS, BIN = 17, 32, 6.0
FLOOR = 2e-5  # density of a colour never seen among the subject's: keeps rare ones undecided
UNSEEN = 8e-5  # and among the background's; higher, so a colour seen in neither is background


def _bins(lab: F32) -> Ints:
    index = np.floor(lab / BIN).astype(np.int64)
    lightness = np.clip(index[..., 0], 0, L_BINS - 1)
    a = np.clip(index[..., 1] + AB_BINS // 2, 0, AB_BINS - 1)
    b = np.clip(index[..., 2] + AB_BINS // 2, 0, AB_BINS - 1)
    return (lightness * AB_BINS + a) * AB_BINS + b


def _histogram(bins: Ints, weight: F32) -> F32:
    """Colour density [bins] of the weighted pixels, blurred; sums to 1."""
    counts = np.bincount(bins.ravel(), weight.ravel(), minlength=L_BINS * AB_BINS * AB_BINS)
    cube = counts.reshape(L_BINS, AB_BINS, AB_BINS)
    for axis, times in ((0, 3), (1, 1), (2, 1)):  # light varies more than colour does
        for _ in range(times):
            cube = 0.5 * cube + 0.25 * (_shift(cube, 1, axis) + _shift(cube, -1, axis))
    return (cube / max(float(cube.sum()), 1e-6)).ravel().astype(np.float32)


def _shift(cube: npt.NDArray[np.float64], by: int, axis: int) -> npt.NDArray[np.float64]:
    return np.take(
        cube, np.clip(np.arange(cube.shape[axis]) + by, 0, cube.shape[axis] - 1), axis=axis
    )


def colour_round(views: Sequence[View], prior: Sequence[F32], colours: float) -> list[F32]:
    """Masks from colour models of the views' present masks, beside each view's prior log odds.

    colours: how much the colour models count.
    """
    own = [_histogram(view.bins, view.mask**2) for view in views]
    trusts = [_compactness(view.mask) ** 3 for view in views]
    found = []
    for index, view in enumerate(views):
        subject = _shared(own, trusts, index)
        beside = _histogram(view.bins, (1 - view.mask) ** 2)
        around = 0.5 * beside + 0.5 * _histogram(view.bins, _rim(view.mask.shape))
        colour = np.log((subject + FLOOR) / (around + UNSEEN))[view.bins]
        chance = _chance(colours * np.clip(colour, -3, 3) + prior[index])
        mask = sharpen(enclosed(random_walk(chance, view.right, view.down)))
        found.append(_keep_main(mask, chance))
    return found


def _shared(own: Sequence[F32], trusts: Sequence[float], index: int) -> F32:
    """The subject's colours as seen in the OTHER photos, so that one wrong mask corrects itself.

    With one or two photos there is too little to compare with, and its own mask counts as well.
    """
    others = [(own[i], trusts[i]) for i in range(len(own)) if i != index]
    if not others:
        return own[index]
    # Power mean: a colour must come back in most photos to count, not fill one of them.
    root = sum(trust * np.sqrt(colours) for colours, trust in others)
    back = np.square(root / sum(trust for _, trust in others))
    back = back / max(float(back.sum()), 1e-6)
    trust = 1.0 if len(own) > 2 else 0.4
    return ((1 - trust) * own[index] + trust * back).astype(np.float32)


def _compactness(mask: F32) -> float:
    """How far a mask looks like one thing, in 0..1: filled like an ellipse and off the frame."""
    height, width = mask.shape
    yy, xx = grid(mask.shape)
    weight = mask * mask + 1e-6
    total = float(weight.sum())
    y, x = float((weight * yy).sum()) / total, float((weight * xx).sum()) / total
    spread = float((weight * (np.square(yy - y) + np.square(xx - x))).sum()) / total
    fill = total / (height * width)
    rim = float((_rim(mask.shape) * weight).sum()) / total
    return max(0.05, min(1.0, fill / (2 * np.pi * spread)) * (1 - rim))


def grid(shape: tuple[int, ...]) -> tuple[F32, F32]:
    """Row and column of every pixel's centre, in 0..1."""
    height, width = shape
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    return (yy + 0.5) / height, (xx + 0.5) / width


def _rim(shape: tuple[int, ...]) -> F32:
    """Weight 1 on the outer tenth at the top and the sides: background more often than not."""
    height, width = shape
    rim = np.zeros((height, width), np.float32)
    rim[: height // 10] = 1.0
    rim[:, : width // 10] = rim[:, -(width // 10) :] = 1.0
    return rim


def _keep_main(mask: F32, chance: F32) -> F32:
    """Fade the pieces that are small, unlike the subject or off the middle beside the best one."""
    labels, count = components(mask > 0.5)
    if count < 2:
        return mask
    yy, xx = grid(mask.shape)
    prior = np.exp(-(np.square(yy - 0.5) + np.square(xx - 0.5)) / (2 * 0.3**2))
    worth = mask * prior * np.square(chance)
    score = np.bincount(labels.ravel(), worth.ravel(), minlength=count + 1)
    score[0] = 0
    weak = (score < 0.35 * score.max())[labels] & (labels > 0)
    return np.where(weak, 0.1 * mask, mask).astype(np.float32)
