"""Where the subject is: a soft mask for each photo of a set that shows one subject.

Boundary connectivity (Zhu et al., CVPR 2014) gives a first guess per photo; colour models shared by
the whole set then take over (the subject is what comes back from photo to photo, the background is
what changes), in the manner of GrabCut with a random walk in place of the cut.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from lfsd.superpixels import F32, Regions, geodesic, regions, srgb_to_lab

WORK_SIDE = 128

Pixels = npt.NDArray[np.uint8]


def subject_masks(images: Sequence[Pixels], alphas: Sequence[F32 | None]) -> list[F32]:
    """Soft subject masks [h, w] in 0..1, longer side about WORK_SIDE, one per photo.

    images: [H, W, 3] uint8 photos of one subject. alphas: a cut-out's own transparency, or None.
    """
    masks: list[F32] = []
    for image, alpha in zip(images, alphas, strict=True):
        small = Image.fromarray(image)
        small.thumbnail((WORK_SIDE, WORK_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
        if alpha is not None:
            masks.append(np.asarray(Image.fromarray(alpha).resize(small.size), np.float32))
            continue
        lab = srgb_to_lab(np.asarray(small))
        r = regions(lab)
        masks.append(first_guess(r)[r.labels])
    return masks


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
    return _smooth(r, background, foreground / max(float(foreground.max()), 1e-6))


def _smooth(r: Regions, background: F32, foreground: F32) -> F32:
    """Least squares: background pulls to 0, foreground to 1, similar neighbours together."""
    n = len(r.lab)
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


def refine_mask(image: Pixels, mask: F32, radius_share: float = 0.03) -> F32:
    """Move the mask's edges onto the picture's (guided filter, He et al. 2010).

    image: [H, W, 3] uint8, mask: [H, W]; same size out.
    """
    radius = max(2, round(radius_share * image.shape[0]))
    guide = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    mean_g, mean_m = _box(guide, radius), _box(mask, radius)
    slope = (_box(guide * mask, radius) - mean_g * mean_m) / (
        _box(guide * guide, radius) - mean_g * mean_g + 1e-3
    )
    offset = mean_m - slope * mean_g
    return np.clip(_box(slope, radius) * guide + _box(offset, radius), 0, 1).astype(np.float32)


def _box(values: F32, radius: int) -> F32:
    picture = Image.fromarray(values.astype(np.float32))
    size = picture.size
    smooth = picture.filter(ImageFilter.BoxBlur(radius)) if picture.mode == "L" else None
    if smooth is None:
        return _box_sums(values, radius)
    return np.asarray(smooth.resize(size), np.float32)


def _box_sums(values: F32, radius: int) -> F32:
    """Mean over a (2 radius + 1) square, edges repeated, by running sums."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(values, width, mode="edge"), axis=axis, dtype=np.float64)
        n = values.shape[axis]
        upper = np.take(sums, np.arange(2 * radius + 1, 2 * radius + 1 + n), axis=axis)
        lower = np.take(sums, np.arange(0, n), axis=axis)
        values = ((upper - lower) / (2 * radius + 1)).astype(np.float32)
    return values
