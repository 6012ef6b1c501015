"""Cut-outs of single pictures without a network: what `lfsd.saliency`'s learned from has to come from somewhere.

Boundary connectivity (Zhu et al., CVPR 2014) gives a first guess; the picture's own colours then take over, as in `lfsd.saliency`.
"""

import numpy as np
from PIL import Image

from lfsd.lab import F32
from lfsd.mask_shapes import blur, enclosed, sharpen
from lfsd.saliency import colour_round, grid, viewed, without_haze
from recipes.pocket.superpixels import Regions, geodesic, regions

ROUNDS = 4


def cut_out(picture: Image.Image) -> Image.Image:
    """The picture with everything but its subject transparent."""
    picture.thumbnail((640, 640))
    alpha = Image.fromarray((subject_mask(picture) * 255).round().astype(np.uint8))
    cut = picture.copy()
    cut.putalpha(alpha.resize(picture.size, Image.Resampling.BICUBIC))
    return cut


def subject_mask(picture: Image.Image) -> F32:
    """Soft subject mask [h, w] in 0..1."""
    view = viewed(picture)
    found = regions(view.lab)
    view.mask = sharpen(enclosed(first_guess(found)[found.labels]))
    for _ in range(ROUNDS):
        (view.mask,) = colour_round([view], [place_odds(view.mask)], colours=1.0)
    return without_haze(view.mask)


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


def place_odds(mask: F32) -> F32:
    """Log odds of being subject by place: near the mask so far, round its middle, off the frame."""
    yy, xx = grid(mask.shape)
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
