"""Blending: while shapes are decided, a subject has the shape it has in one of its contexts.

A small UNet bends a subject in every scene that it was not learned in. So in the first steps what
the model predicts the picture to be is replaced by a context, where that one's mask has its
subject: after blended latent diffusion (arXiv 2206.02779), which mixes noised latents. The words
have everything around it, and the steps that follow draw the whole picture (decision 33).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lfsd.base import BaseModel
from lfsd.context import ConceptContext, fitted
from lfsd.distill import clean_and_noise, prediction_of

SOFT = 0.08
"""How wide a mask's soft edge may be, as a share of the picture: a wider one holds ground too."""

RIM = 0.5
"""How much of the picture's rim a mask may cover: more, and hardly any ground is left out."""

STEEPER = 3.0
"""How much steeper masks are made, so that half-transparent ground does not come along."""

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

    def __init__(self, base: BaseModel, subjects: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._device, self._subjects = base.device, subjects

    @classmethod
    def of(cls, base: BaseModel, contexts: Sequence[ConceptContext]) -> "Blending | None":
        """The concepts' subjects in those contexts whose masks are well cut.

        None if a concept has no such context: its place would stay empty.
        """
        side = base.resolution // base.vae_scale
        cut = [_cut_out(fitted(context, (side, side))) for context in contexts]
        if not all(len(masks) for _, masks in cut):
            return None
        return cls(base, [_placed(*subject, i, len(cut)) for i, subject in enumerate(cut)])

    def at(self, seeds: Sequence[int]) -> Blend:
        """What the pictures of these seeds are blended with: the same for the same seed."""
        subjects = []
        for latents, masks in self._subjects:
            rows = [seed % len(masks) for seed in seeds]
            subjects.append((latents[rows].to(self._device), masks[rows].to(self._device)))
        return Blend(tuple(subjects))


def well_cut(masks: Tensor) -> Tensor:
    """[K] bool: which of the masks [K,h,w] are sharply those of a subject, and leave out ground.

    A mask's soft edge is what it leaves undecided, as a band around a disc of its area.
    """
    undecided = (4 * masks * (1 - masks)).sum((1, 2))
    around = 2 * (math.pi * masks.sum((1, 2))).sqrt()
    soft = undecided / around.clamp_min(1e-8) / masks.shape[2]
    rim = torch.cat([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], dim=1).mean(1)
    return (soft <= SOFT) & (rim <= RIM) & (masks.amax((1, 2)) > 0.5)


def _cut_out(context: ConceptContext) -> tuple[Tensor, Tensor]:
    """Latents [k,C,h,w] and masks [k,1,h,w] of the contexts that are well cut; k may be 0."""
    latents = torch.from_numpy(context.latents).float()
    if context.masks is None:
        return latents[:0], latents[:0, :1]
    masks = torch.from_numpy(context.masks).float().clamp(0, 1)
    well = well_cut(masks)
    steep = ((masks[well] - 0.5) * STEEPER + 0.5).clamp(0, 1)
    return latents[well], steep[:, None]


def _placed(latents: Tensor, masks: Tensor, place: int, count: int) -> tuple[Tensor, Tensor]:
    """The subject in column `place` of `count`, smaller and lower; alone it stays where it is.

    Columns are narrower than the pictures in them: the outermost sides are cut off, and a subject
    that reaches into the next column is covered there.
    """
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
