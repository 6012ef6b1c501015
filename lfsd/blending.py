"""Blending: while shapes are decided, a subject has the shape it has in one of its contexts.

A small UNet bends a subject in every scene that it was not learned in. So in the first steps what
the model predicts the picture to be is replaced by a context, where that one's mask has its
subject, as in blended latent diffusion (arXiv 2206.02779). The words have everything around it,
and the steps that follow draw the whole picture (decision 33).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lfsd.base import BaseModel
from lfsd.context import ConceptContext, fitted
from lfsd.distill import clean_and_noise, prediction_of

DOUBT = 0.5
"""A mask more doubtful than this is not cut along: it has taken in the ground."""

EDGE = 3.0
"""How much steeper a mask's edge is made, so that half-transparent ground does not come along."""

TOGETHER = 1.3
"""What the sizes of subjects side by side add up to, in pictures; each alone has its own, 1."""


@dataclass(frozen=True)
class Blend:
    """What some pictures are blended with, one subject over another.

    Of each `clean` [B,C,h,w], and the mask [B,1,h,w] that is 1 where it covers what is there.
    """

    subjects: tuple[tuple[Tensor, Tensor], ...]

    def __call__(self, pred: Tensor, noisy: Tensor, alpha: Tensor, kind: str) -> Tensor:
        """The prediction [B,C,h,w] of `kind` for a picture with the subjects in their places."""
        picture, _ = clean_and_noise(pred, noisy, alpha, kind)
        for clean, mask in self.subjects:
            picture = picture + mask * (clean - picture)
        return prediction_of(picture, noisy, alpha, kind)


class Blending:
    """The subjects of a prompt's concepts, side by side in its order, in contexts by the seed."""

    def __init__(self, base: BaseModel, contexts: Sequence[ConceptContext]) -> None:
        side = base.resolution // base.vae_scale
        self._subjects = [
            _placed(*_cut_out(fitted(context, (side, side))), place, len(contexts))
            for place, context in enumerate(contexts)
        ]
        self._device = base.device

    def at(self, seeds: Sequence[int]) -> Blend:
        """What the pictures of these seeds are blended with: the same for the same seed."""
        subjects = []
        for latents, masks in self._subjects:
            rows = [seed % len(masks) for seed in seeds]
            subjects.append((latents[rows].to(self._device), masks[rows].to(self._device)))
        return Blend(tuple(subjects))


def doubt(masks: Tensor) -> Tensor:
    """[K]: how far masks [K,h,w] are from a subject well cut out; 0 is perfect.

    The share of a mask that is neither subject nor ground, and that of the picture's rim inside it.
    """
    undecided = (4 * masks * (1 - masks)).sum((1, 2)) / masks.sum((1, 2)).clamp_min(1e-8)
    rim = torch.cat([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], dim=1)
    return undecided + rim.mean(1)


def _cut_out(context: ConceptContext) -> tuple[Tensor, Tensor]:
    """Latents [k,C,h,w] and masks [k,1,h,w] of the contexts that are cut out well, or the best."""
    assert context.masks is not None
    masks = torch.from_numpy(context.masks).float().clamp(0, 1)
    doubts = doubt(masks)
    well = (doubts <= DOUBT) | (doubts == doubts.min())
    masks = ((masks[well] - 0.5) * EDGE + 0.5).clamp(0, 1)
    return torch.from_numpy(context.latents).float()[well], masks[:, None]


def _placed(latents: Tensor, masks: Tensor, place: int, count: int) -> tuple[Tensor, Tensor]:
    """The subject in column `place` of `count`, smaller and lower; alone it stays where it is."""
    if count == 1:
        return latents, masks
    size = TOGETHER / count
    right, down = (2 * place + 1) / count - 1, (1 - size) / 2
    where = torch.tensor([[1 / size, 0, -right / size], [0, 1 / size, -down / size]])
    grid = F.affine_grid(where.expand(len(latents), 2, 3), list(latents.shape), align_corners=False)
    return (
        F.grid_sample(latents, grid, padding_mode="border", align_corners=False),
        F.grid_sample(masks, grid, padding_mode="zeros", align_corners=False),
    )
