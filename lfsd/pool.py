"""The pool of one session: which teacher says what must stay, and the walks that ask it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather
from torch import Tensor

from lfsd.adapter import TEACHER, Adapter
from lfsd.base import BaseModel, TextStates
from lfsd.data import places
from lfsd.distill import Pool, PredictFor, ddpm_schedule, fill_pool
from lfsd.prompts import share_out
from lfsd.settings import Settings, Teacher


class Prompts(NamedTuple):
    """Prompts that do not change within a session, and their text states, encoded once."""

    names: list[str]
    states: TextStates


@torch.no_grad()
def encode_prompts(base: BaseModel, names: Sequence[str]) -> Prompts:
    """The distinct prompts with their text states, on the device."""
    distinct = list(dict.fromkeys(names))
    return Prompts(distinct, base.encode_text(distinct).detach())


def make_pool(
    adapter: Adapter,
    accelerator: Accelerator,
    prompts: Prompts,
    groups: dict[str, list[str]],
    entries: int,
    refresh: int,
    rng: torch.Generator,
) -> Pool:
    """The pool of one refresh, of which `entries` will be used: each process walks its share of
    the trajectories, then all have all.

    Many trajectories and few points of each tell more of the teacher than few in full.
    """
    base, settings = adapter.base, adapter.settings
    world, rank = accelerator.num_processes, accelerator.process_index
    count = trajectories(settings, accelerator)
    # later pools go on where the last one stopped in each group's prompts
    chosen = share_out(groups, count, offset=refresh * (count // 2))
    which = [prompts.names.index(p) for p in chosen][rank::world]
    by_base = taught_by_base(prompts, groups, settings.teacher)

    def predict(z: Tensor, t: int, prompt: Tensor) -> Tensor:
        return base.predict(z, t, prompts.states[prompt.to(base.device)])

    rng.manual_seed((rng.initial_seed() + rank) % 2**63)
    walks = [
        (_as_previous(adapter), [p for p in which if not by_base[p]]),
        (adapter.as_base, [p for p in which if by_base[p]]),
    ]
    with torch.no_grad():
        parts = [
            _walk(base, adapter, stand, predict, taught, -(-entries // count), rng)
            for stand, taught in walks
            if taught
        ]
    pool = Pool(*(torch.cat(field) for field in zip(*parts, strict=True)))
    if world == 1:
        return pool
    return Pool(*(gather(field.to(base.device)) for field in pool))


def trajectories(settings: Settings, accelerator: Accelerator) -> int:
    """How many a pool has: `pool_size`, and no fewer for every process to walk as many."""
    world = accelerator.num_processes
    return -(-settings.pool_size // world) * world


Stand = Callable[[], AbstractContextManager[None]]
"""Within it the UNet predicts as somebody."""


def taught_by_base(prompts: Prompts, groups: dict[str, list[str]], teacher: Teacher) -> list[bool]:
    """Of every prompt whether the base teaches it: with both teachers all but earlier concepts',
    which the base never saw."""
    earlier = set(groups.get("earlier", ())) if teacher == "both" else set()
    return [teacher != "previous" and name not in earlier for name in prompts.names]


def _as_previous(adapter: Adapter) -> Stand:
    base, settings = adapter.base, adapter.settings
    if base.dtype == torch.float32 and settings.trajectory == "teacher":
        # LoRA added into the weights is the fastest teacher; in half precision the sum of a
        # convolution would be rounded, which its LoRA by itself is not
        return partial(adapter.merged, TEACHER)
    return adapter.as_teacher


def _walk(
    base: BaseModel,
    adapter: Adapter,
    stand: Stand,
    predict: PredictFor,
    which: list[int],
    points: int,
    rng: torch.Generator,
) -> Pool:
    settings = adapter.settings
    side = base.resolution_of(settings.resolution) // base.vae_scale
    keep = None
    if points < settings.distill_steps:
        share = torch.stack([places(points, settings, rng) for _ in which])
        keep = ((1 - share) * settings.distill_steps).long().clamp(max=settings.distill_steps - 1)

    def teacher(z: Tensor, t: int, prompt: Tensor) -> Tensor:
        with stand():
            return predict(z, t, prompt)

    alone = settings.trajectory == "teacher"
    with stand() if alone else nullcontext():
        return fill_pool(
            predict if alone else teacher,
            None if alone else predict,
            which,
            (base.latent_channels, side, side),
            ddpm_schedule(base, settings.distill_steps),
            base.prediction_type,
            rng,
            keep=keep,
            trajectory=settings.trajectory,
            batch=16 if side <= 32 else 4,
            device=base.device,
        )
