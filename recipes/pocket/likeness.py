"""How well a base draws a subject that it has never seen but in vision contexts: In-Context Generation untaught."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from lfsd.base import BaseModel
from lfsd.context import ConceptContext, context_bank
from lfsd.generate import make_images
from lfsd.judge import Judge
from lfsd.sampler import Sampling
from recipes.pocket.world import World, article

CONTEXTS, REFERENCES = 2, 3
PLACES = ("on a beach", "on grass")


@dataclass(frozen=True)
class Likeness:
    """Mean similarity of drawn pictures to their subject, and the share nearest to it of all subjects."""

    similarity: float
    told: float


def held_out_views(world: World) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Subjects [s], and views of each: pictures [s, v, 3, 128, 128] and covers [s, v, 128, 128], in 0..1."""
    pool, views = world.pool(held_out=True), CONTEXTS + REFERENCES
    rows = world.rows(len(pool) * views, seed=55, held_out=True, pairs=0.0, tints=0.0)
    rows.subject = np.repeat(pool, views)
    generator = torch.Generator().manual_seed(55)
    picture, cover = world.drawn(rows, np.arange(len(rows)), generator, play=0.6)
    return pool, picture.unflatten(0, (-1, views)), cover[:, 0].unflatten(0, (-1, views))


@torch.no_grad()
def drawn_in_context(
    base: BaseModel, noun: str, pictures: torch.Tensor, covers: torch.Tensor | None
) -> list[Image.Image]:
    """The noun in every place, shown contexts [k, 3, 128, 128] where their covers [k, 128, 128] say; without covers, none."""
    bank = None
    if covers is not None:
        latents = base.encode_images(pictures * 2 - 1).numpy()
        masks = F.adaptive_avg_pool2d(covers, latents.shape[-1]).numpy()
        bank = context_bank(base, [ConceptContext("", noun, latents, masks)])
        assert bank is not None
        bank.text = base.encode_text([f"a photo of {article(noun)}"] * CONTEXTS)
    prompts = [f"a photo of {article(noun)} {place}" for place in PLACES]
    return make_images(base, prompts, list(range(len(prompts))), Sampling(), bank=bank)


def likeness(folder: Path, judge: Judge, world: World) -> dict[str, Likeness]:
    """The two figures of held-out subjects "without" and "with" two composites of each as contexts."""
    base = BaseModel.load(folder, device="cpu", precision="float32")
    pool, pictures, covers = held_out_views(world)
    references = _unit(np.stack([judge.subjects(_images(p[CONTEXTS:])).mean(0) for p in pictures]))
    found = {}
    for name, shown in (("without", False), ("with", True)):
        near = []
        for subject, picture, cover in zip(pool, pictures, covers, strict=True):
            noun = world.subjects[subject].noun
            drawn = drawn_in_context(
                base, noun, picture[:CONTEXTS], cover[:CONTEXTS] if shown else None
            )
            near.append(judge.subjects(drawn) @ references.T)
        found[name] = scored(np.stack(near))
    return found


def scored(near: np.ndarray) -> Likeness:
    """From similarities [s, p, s] of each subject's p pictures to all subjects."""
    own = near[np.arange(len(near)), :, np.arange(len(near))]
    told = near.argmax(-1) == np.arange(len(near))[:, None]
    return Likeness(float(own.mean()), float(told.mean()))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _images(pictures: torch.Tensor) -> list[Image.Image]:
    pixels = (pictures.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    return [Image.fromarray(p) for p in pixels]
