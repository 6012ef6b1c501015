"""Where the subject is: a soft mask for each photo of a set that shows one subject.

Boundary connectivity (Zhu et al., CVPR 2014) gives a first guess per photo; colour models shared by
the whole set then take over (the subject is what comes back from photo to photo, the background is
what changes), in the manner of GrabCut (Rother et al. 2004) with a random walk in place of the cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from lfsd.mask_shapes import blur, components, enclosed, random_walk, sharpen
from lfsd.superpixels import F32, Regions, geodesic, regions, srgb_to_lab

WORK_SIDE = 128
ROUNDS = 4

Ints = npt.NDArray[np.int64]


@dataclass
class _View:
    """One photo at working size: Lab, its colour bins, edge weights, and the mask so far."""

    lab: F32
    bins: Ints
    right: F32  # [h, w-1] how alike horizontal neighbours are, 0..1
    down: F32  # [h-1, w]
    mask: F32
    fixed: bool  # a cut-out's own alpha: nothing to find out


def subject_masks(images: Sequence[Image.Image], alphas: Sequence[F32 | None]) -> list[F32]:
    """Soft subject masks [h, w] in 0..1, longer side about WORK_SIDE, one per photo.

    images: RGB photos of one subject. alphas: a cut-out's own transparency, or None.
    """
    views = [_view(image, alpha) for image, alpha in zip(images, alphas, strict=True)]
    for _ in range(ROUNDS):
        _one_round(views)
    # The last haze is cut off: what is faint here is background.
    return [v.mask if v.fixed else np.clip((v.mask - 0.12) / 0.76, 0, 1) for v in views]


def _view(image: Image.Image, alpha: F32 | None) -> _View:
    scale = min(1.0, WORK_SIDE / max(image.size))
    size = (max(2, round(image.width * scale)), max(2, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    lab = srgb_to_lab(np.asarray(small))
    if alpha is not None:
        shrunk = Image.fromarray(alpha).resize(small.size, Image.Resampling.BOX)
        mask = np.asarray(shrunk, np.float32)
    else:
        r = regions(lab)
        mask = sharpen(enclosed(first_guess(r)[r.labels]))
    right = np.square(np.diff(lab, axis=1)).sum(-1)
    down = np.square(np.diff(lab, axis=0)).sum(-1)
    spread = 2 * (float(right.mean()) + float(down.mean())) / 2 + 8.0
    return _View(
        lab, _bins(lab), np.exp(-right / spread), np.exp(-down / spread), mask, alpha is not None
    )


def first_guess(r: Regions) -> F32:
    """[n] saliency of each region from background connectivity, contrast and place."""
    far = geodesic(r)
    near = np.exp(-np.square(far) / (2 * 10.0**2))
    span = near @ r.area
    frame = near @ r.border
    connectivity = frame / np.sqrt(np.maximum(span, 1e-6)) * 2
    background = 1 - np.exp(-np.square(connectivity) / 2)
    gap = np.linalg.norm(r.lab[:, None] - r.lab[None], axis=-1)
    apart = np.linalg.norm(r.spot[:, None] - r.spot[None], axis=-1)
    weight = np.exp(-np.square(apart) / (2 * 0.25**2)) * (background * r.area)[None]
    contrast = (gap * weight).sum(1)
    contrast = contrast / max(float(contrast.max()), 1e-6)
    centre = np.exp(-(np.square(r.spot - 0.5) / (2 * 0.3**2)).sum(-1))
    foreground = contrast * (1 - background) * centre
    return _settle(r, background, foreground / max(float(foreground.max()), 1e-6))


def _settle(r: Regions, background: F32, foreground: F32) -> F32:
    """Least squares: background pulls to 0, foreground to 1, similar neighbours together."""
    a, b = r.edges[:, 0], r.edges[:, 1]
    gap = np.linalg.norm(r.lab[a] - r.lab[b], axis=-1)
    w = np.exp(-np.square(gap) / (2 * 10.0**2)) + 0.1
    system = np.diag(background + foreground + 1e-3)
    np.add.at(system, (a, a), w)
    np.add.at(system, (b, b), w)
    np.add.at(system, (a, b), -w)
    np.add.at(system, (b, a), -w)
    solved = np.linalg.solve(system, foreground)
    low, high = float(solved.min()), float(solved.max())
    return ((solved - low) / max(high - low, 1e-6)).astype(np.float32)


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


def _one_round(views: list[_View]) -> None:
    """Colour models from the masks, then masks from the colour models."""
    own = [_histogram(view.bins, view.mask**2) for view in views]
    trusts = [_compactness(view.mask) ** 3 for view in views]
    for index, view in enumerate(views):
        if view.fixed:
            continue
        subject = _shared(own, trusts, index)
        beside = _histogram(view.bins, (1 - view.mask) ** 2)
        around = 0.5 * beside + 0.5 * _histogram(view.bins, _rim(view.mask.shape))
        colour = np.log((subject + FLOOR) / (around + UNSEEN))[view.bins]
        odds = np.clip(colour, -3, 3) + _place_odds(view.mask)
        chance = (1 / (1 + np.exp(-odds))).astype(np.float32)
        mask = sharpen(enclosed(random_walk(chance, view.right, view.down)))
        view.mask = _keep_main(mask, chance)


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
    yy, xx = _grid(mask.shape)
    weight = mask * mask + 1e-6
    total = float(weight.sum())
    y, x = float((weight * yy).sum()) / total, float((weight * xx).sum()) / total
    spread = float((weight * (np.square(yy - y) + np.square(xx - x))).sum()) / total
    fill = total / (height * width)
    rim = float((_rim(mask.shape) * weight).sum()) / total
    return max(0.05, min(1.0, fill / (2 * np.pi * spread)) * (1 - rim))


def _grid(shape: tuple[int, ...]) -> tuple[F32, F32]:
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


def _place_odds(mask: F32) -> F32:
    """Log odds of being subject by place: near the mask so far, round its middle, off the frame."""
    yy, xx = _grid(mask.shape)
    prior = np.exp(-(np.square(yy - 0.5) + np.square(xx - 0.5)) / (2 * 0.35**2))
    weight = mask * mask * prior + 1e-6
    total = float(weight.sum())
    y, x = float((weight * yy).sum()) / total, float((weight * xx).sum()) / total
    var_y = float((weight * np.square(yy - y)).sum()) / total + 0.05**2
    var_x = float((weight * np.square(xx - x)).sum()) / total + 0.05**2
    off = np.square(yy - y) / var_y + np.square(xx - x) / var_x  # 4 = rim of a filled ellipse
    near = _logit(0.02 + 0.96 * blur(mask, 4))
    frame = np.zeros_like(mask)
    frame[:3], frame[:, :3], frame[:, -3:] = 1.0, 1.0, 1.0
    return 0.7 * near - 0.8 * np.clip(off - 4, 0, 12) - 0.8 * frame


def _logit(p: F32) -> F32:
    return np.log(p / (1 - p))


def _keep_main(mask: F32, chance: F32) -> F32:
    """Fade the pieces that are small, unlike the subject or off the middle beside the best one."""
    labels, count = components(mask > 0.5)
    if count < 2:
        return mask
    yy, xx = _grid(mask.shape)
    prior = np.exp(-(np.square(yy - 0.5) + np.square(xx - 0.5)) / (2 * 0.3**2))
    worth = mask * prior * np.square(chance)
    score = np.bincount(labels.ravel(), worth.ravel(), minlength=count + 1)
    score[0] = 0
    weak = (score < 0.35 * score.max())[labels] & (labels > 0)
    return np.where(weak, 0.1 * mask, mask).astype(np.float32)
