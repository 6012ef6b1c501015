"""The photos as the loop uses them: latents encoded once, and every random draw of every step.

Behind the session's own views may stand earlier concepts' vision contexts, to be shown again.

Each draw has its own generator, seeded by (seed, token, purpose, step). So a resumed session needs
no stored generator, and several processes draw the same global batch and each take their share.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lfsd.base import BaseModel
from lfsd.composites import composites
from lfsd.context import ConceptContext
from lfsd.masks import attention_masks, loss_weights, saliency_masks
from lfsd.photos import PreparedPhoto
from lfsd.prompts import concept_words, training_prompts
from lfsd.randomness import seeded
from lfsd.settings import Settings

CUT_OUT = 16
"""Concepts whose contexts are cut out for a session, others each time: cutting out is decoding and
encoding, which must not grow with the number of concepts."""


@dataclass(frozen=True)
class PhotoLatents:
    """P photos, encoded once. Views are what a step picks from: the photos, then the composites,
    then what is replayed of earlier concepts. Mirror images are encoded only if they are shown.

    latents [V,2,C,h,w] (plain, mirrored), weights of L_DM [V,2,h,w], prompts per view; masks
    [P,h,w] are the subject masks for contexts, or None when contexts are not masked.
    """

    latents: Tensor
    weights: Tensor
    prompts: list[list[str]]
    photos: int
    masks: np.ndarray | None
    replayed: int = 0
    """The last views, which show earlier concepts' contexts, then their subjects on plain
    colours."""
    cut_out: tuple[int, ...] = ()
    """Of each context the view that shows its subject on a plain colour, or its own."""
    concepts: int = 0
    """How many concepts are replayed."""

    @property
    def own(self) -> int:
        """How many views show the session's subject."""
        return len(self.latents) - self.replayed

    @property
    def plain(self) -> Tensor:
        """The photos' own latents [P,C,h,w]."""
        return self.latents[: self.photos, 0]


def encode_photos(
    base: BaseModel,
    photos: Sequence[PreparedPhoto],
    token: str,
    class_noun: str,
    settings: Settings,
) -> PhotoLatents:
    """Encode photos, mirror images and composites through the VAE, once per session."""
    pictures = [np.asarray(photo.image.convert("RGB")) for photo in photos]
    prompts = [training_prompts(token, class_noun, p.caption, settings.prompts) for p in photos]
    if settings.composites:
        cutouts = [(photo.image, photo.mask) for photo in photos]
        more, their_prompts = composites(cutouts, concept_words(token, class_noun))
        pictures, prompts = pictures + more, prompts + their_prompts
    latents = _encode(base, pictures)
    mirrored = _encode(base, [p[:, ::-1] for p in pictures]) if settings.flip else latents
    latents = torch.stack([latents, mirrored], 1)
    plain, size = latents[: len(photos), 0], (latents.shape[3], latents.shape[4])
    masks = {
        kind: saliency_masks(photos, size)
        if kind == "saliency"
        else attention_masks(base, plain, class_noun)
        for kind in {settings.subject_mask, settings.context_mask} - {"off"}
    }
    weights = torch.ones(latents.shape[0], 2, *size)
    if settings.subject_mask != "off":
        found = loss_weights(torch.from_numpy(masks[settings.subject_mask]), settings.mask_floor)
        weights[: len(photos)] = torch.stack([found, found.flip(-1)], 1)
    return PhotoLatents(
        latents, weights.to(base.device), prompts, len(photos), masks.get(settings.context_mask)
    )


def _encode(base: BaseModel, pictures: Sequence[np.ndarray], batch: int = 8) -> Tensor:
    parts = []
    for begin in range(0, len(pictures), batch):
        pixels = np.stack(pictures[begin : begin + batch]).astype(np.float32) / 127.5 - 1
        parts.append(base.encode_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    return torch.cat(parts)


def with_replay(
    base: BaseModel, data: PhotoLatents, contexts: Sequence[ConceptContext], settings: Settings
) -> PhotoLatents:
    """`data` with earlier concepts' vision contexts as its last views, under their own prompts:
    the contexts, then their subjects on plain colours.

    Contexts of another resolution are left out: one forward holds latents of one size.
    """
    contexts = [c for c in contexts if c.latents.shape[1:] == data.latents.shape[2:]]
    if not contexts:
        return data
    device = data.latents.device
    latents = torch.from_numpy(np.concatenate([c.latents for c in contexts])).to(device)
    weights = torch.ones(len(latents), *latents.shape[2:], device=device)
    if settings.subject_mask != "off":
        masks = [m for c in contexts for m in _masks(c)]
        weights = loss_weights(torch.from_numpy(np.stack(masks)), settings.mask_floor).to(device)
    prompts: list[list[str]] = []
    for c in contexts:
        named = training_prompts(c.token, c.class_noun, None, settings.prompts)
        prompts += [named] * len(c.latents)
    parted = _parted(contexts, settings) if settings.composites else set()
    if parted:
        # colours are counted from the number of concepts, so that every session shows others
        cut = [contexts[i] for i in sorted(parted)]
        more, their_prompts = _cut_out(base, cut, first=len(contexts))
        latents, prompts = torch.cat([latents, more]), prompts + their_prompts
        weights = torch.cat([weights, torch.ones_like(more[:, 0])])
    owners = [i for i, c in enumerate(contexts) for _ in c.latents]
    own, alone = len(data.latents), itertools.count(len(data.latents) + len(owners))
    return PhotoLatents(
        torch.cat([data.latents, torch.stack([latents, latents.flip(-1)], 1)]),
        torch.cat([data.weights, torch.stack([weights, weights.flip(-1)], 1)]),
        [*data.prompts, *prompts],
        data.photos,
        data.masks,
        replayed=len(latents),
        cut_out=tuple(next(alone) if i in parted else own + k for k, i in enumerate(owners)),
        concepts=len(contexts),
    )


def _parted(contexts: Sequence[ConceptContext], settings: Settings) -> set[int]:
    """Which of them have their subjects cut out this session."""
    able = [i for i, c in enumerate(contexts) if _parts(c)]
    if len(able) > CUT_OUT:
        able = Random(f"{settings.seed}/{len(contexts)}").sample(able, CUT_OUT)
    return set(able)


def _parts(context: ConceptContext) -> bool:
    """Whether each of its masks shows something and hides something."""
    if context.masks is None:
        return False
    return all(m.max() > 0.5 > m.min() for m in context.masks)


def _cut_out(
    base: BaseModel, contexts: Sequence[ConceptContext], first: int
) -> tuple[Tensor, list[list[str]]]:
    """Latents of the contexts' subjects on one plain colour each, from the `first` colour on, and
    their prompts."""
    pictures: list[np.ndarray] = []
    prompts: list[list[str]] = []
    for c in contexts:
        decoded = base.decode(torch.from_numpy(c.latents).to(base.device))
        cutouts = [(Image.fromarray(p), m) for p, m in zip(decoded, _masks(c), strict=True)]
        words = concept_words(c.token, c.class_noun)
        more, named = composites(cutouts, words, each=1, first=first + len(pictures))
        pictures, prompts = pictures + more, prompts + named
    return _encode(base, pictures), prompts


def _masks(context: ConceptContext) -> np.ndarray:
    if context.masks is not None:
        return context.masks
    return np.ones((len(context.latents), *context.latents.shape[2:]), np.float32)


class Draw(NamedTuple):
    """One batch of L_DM on the CPU: view, mirrored or not, t, noise, under the empty prompt or
    not."""

    view: Tensor
    side: Tensor
    t: Tensor
    noise: Tensor
    dropped: Tensor
    template: Tensor


def draw_batch(
    data: PhotoLatents, settings: Settings, key: Sequence[object], timesteps: int, size: int
) -> Draw:
    """The global batch of one (micro) step; t is stratified over the batch, which steadies the
    loss."""
    rng = seeded(settings.seed, *key)
    every = data.own - data.photos
    view = torch.randint(data.photos, (size,), generator=rng)
    if every:
        other = data.photos + torch.randint(every, (size,), generator=rng)
        pasted = torch.rand(size, generator=rng) < settings.composites
        view = torch.where(pasted, other, view)
    return _drawn(view, data, settings, rng, timesteps)


def draw_replay(
    data: PhotoLatents,
    settings: Settings,
    key: Sequence[object],
    step: int,
    timesteps: int,
    size: int,
) -> Draw:
    """As `draw_batch`, of what is replayed: each context once before any is shown twice, as it is
    or cut out by turns of a coin."""
    which = draw_evenly(len(data.cut_out), settings, key, step, size)
    rng = seeded(settings.seed, *key, step)
    alone = torch.rand(size, generator=rng) < 0.5
    view = torch.where(alone, torch.tensor(data.cut_out)[which], data.own + which)
    return _drawn(view, data, settings, rng, timesteps)


def _drawn(
    view: Tensor, data: PhotoLatents, settings: Settings, rng: torch.Generator, timesteps: int
) -> Draw:
    size = len(view)
    place = places(size, settings, rng)
    shape = (size, *data.latents.shape[2:])
    return Draw(
        view,
        (torch.rand(size, generator=rng) < settings.flip).long(),
        timesteps_at(place, timesteps),
        torch.randn(shape, generator=rng),
        torch.rand(size, generator=rng) < settings.guidance_dropout,
        torch.randint(1 << 16, (size,), generator=rng),
    )


def places(size: int, settings: Settings, rng: torch.Generator) -> Tensor:
    """`size` shares 0..1 of the schedule, one from each stratum of what `timesteps` prefers."""
    place = (torch.rand(1, generator=rng) + torch.arange(size) / size) % 1
    return preferred(place, settings)


def preferred(place: Tensor, settings: Settings) -> Tensor:
    """Uniform numbers in 0..1 to shares of the schedule as `timesteps` wants them: for "shapes"
    half in 0.4..0.9, the others anywhere.

    The inverse of that density's distribution, so that strata stay strata.
    """
    if settings.timesteps != "shapes":
        return place
    early, late = 2 * place, 0.9 + 2 * (place - 0.95)
    middle = 0.4 + (place - 0.2) / 1.5
    return torch.where(place < 0.2, early, torch.where(place < 0.95, middle, late))


def timesteps_at(share: Tensor, total: int) -> Tensor:
    """Shares 0..1 of a schedule of `total` timesteps as timesteps."""
    return (share * total).long().clamp(max=total - 1)


def chance_below(share: float, settings: Settings) -> float:
    """How often a `preferred` share of the schedule is below `share`: its inverse."""
    if settings.timesteps != "shapes":
        return share
    return min(share / 2, 0.2) + 1.5 * min(max(share - 0.4, 0), 0.5) + max(share - 0.9, 0) / 2


def draw_evenly(
    count: int, settings: Settings, key: Sequence[object], step: int, size: int
) -> Tensor:
    """A step's `size` indices below `count`, so that each comes once before any comes twice."""
    picked = []
    for place in range(step * size, (step + 1) * size):
        epoch, index = divmod(place, count)
        order = torch.randperm(count, generator=seeded(settings.seed, *key, "epoch", epoch))
        picked.append(order[index])
    return torch.stack(picked)
