"""The student as one module: photos and pooled latents through text encoder and UNet in one
forward."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather
from torch import Tensor, nn

from lfsd.adapter import TEACHER, Adapter
from lfsd.attention import AttentionControl, ContextFeed
from lfsd.base import BaseModel, TextStates
from lfsd.distill import Pool, PredictFor, ddpm_schedule, fill_pool
from lfsd.prompts import share_out
from lfsd.shown import ContextRow


class Batch(NamedTuple):
    """What one forward of the student needs: photos first, pooled latents after them.

    noisy [B,C,h,w], t [B]; prompts are the photos' distinct ones, `which` [b] their index per
    photo, dropped [b] marks photos under the empty prompt; kd_text are the pooled prompts' states;
    `context`, if any, is shown to the first photos, has their t, and its prompt is in `prompts`.
    """

    noisy: Tensor
    t: Tensor
    prompts: list[str]
    which: Tensor
    dropped: Tensor
    empty: TextStates
    kd_text: TextStates | None
    context: ContextRow | None = None


class Student(nn.Module):
    """Everything that gradient runs through, so that accelerate can wrap it whole."""

    def __init__(self, base: BaseModel, rows: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.base = base
        self.unet = base.unet
        self.text_encoders = nn.ModuleList(base.text_encoders)
        self.rows = nn.ParameterList(rows)

    def forward(self, batch: Batch) -> Tensor:
        """Predictions [B,C,h,w] for photos and pooled latents together."""
        # dropped prompts are encoded all the same: each process must give the rows a gradient
        encoded = self.base.encode_text(batch.prompts)
        text = _where(batch.dropped, batch.empty, encoded[batch.which])
        if batch.kd_text is not None:
            text = TextStates.cat([text, batch.kd_text])
        if batch.context is None:
            return self.base.predict(batch.noisy, batch.t, text)
        own = encoded[[batch.prompts.index(batch.context.prompt)]]
        return self._in_context(batch, batch.context, TextStates.cat([text, own]))

    def _in_context(self, batch: Batch, context: ContextRow, text: TextStates) -> Tensor:
        # The gradient goes through the context's row as well: what generation appends is made by
        # the weights learned here, so they answer for it, at the price of one row's backward.
        control = AttentionControl(ContextFeed(context.rows, 1, context.weights))
        noisy, t = torch.cat([batch.noisy, context.noisy]), torch.cat([batch.t, batch.t[:1]])
        pred = self.base.predict(noisy, t, text, cross_attention_kwargs=control.kwargs())
        control.check_used()
        return pred[:-1]


def _where(choice: Tensor, yes: TextStates, no: TextStates) -> TextStates:
    hidden = torch.where(choice[:, None, None], yes.hidden, no.hidden)
    if no.pooled is None or yes.pooled is None:
        return TextStates(hidden)
    return TextStates(hidden, torch.where(choice[:, None], yes.pooled, no.pooled))


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
    refresh: int,
    rng: torch.Generator,
) -> Pool:
    """The pool of one refresh: each process walks its share of the trajectories, then all have
    all."""
    base, settings = adapter.base, adapter.settings
    world, rank = accelerator.num_processes, accelerator.process_index
    count = -(-settings.pool_size // world) * world
    # later pools go on where the last one stopped in each group's prompts
    chosen = share_out(groups, count, offset=refresh * (count // 2))
    which = [prompts.names.index(p) for p in chosen][rank::world]

    def predict(z: Tensor, t: int, prompt: Tensor) -> Tensor:
        return base.predict(z, t, prompts.states[prompt.to(base.device)])

    def teacher(z: Tensor, t: int, prompt: Tensor) -> Tensor:
        with adapter.as_base() if settings.teacher == "base" else adapter.as_teacher():
            return predict(z, t, prompt)

    rng.manual_seed((rng.initial_seed() + rank) % 2**63)
    with torch.no_grad():
        walk: PredictFor = teacher
        if settings.trajectory == "teacher" and settings.teacher == "previous":
            # LoRA added into the weights is the fastest teacher; rounding to half would change it
            if base.dtype == torch.float32:
                with adapter.merged(TEACHER):
                    pool = _walk(base, adapter, predict, None, which, rng)
            else:
                with adapter.as_teacher():
                    pool = _walk(base, adapter, predict, None, which, rng)
        else:
            pool = _walk(base, adapter, walk, predict, which, rng)
    if world == 1:
        return pool
    return Pool(*(gather(field.to(base.device)) for field in pool))


def _walk(
    base: BaseModel,
    adapter: Adapter,
    teacher: PredictFor,
    student: PredictFor | None,
    which: list[int],
    rng: torch.Generator,
) -> Pool:
    settings = adapter.settings
    side = base.resolution_of(settings.resolution) // base.vae_scale
    trajectory: Literal["teacher", "student"] = settings.trajectory
    return fill_pool(
        teacher,
        student,
        which,
        (base.latent_channels, side, side),
        ddpm_schedule(base, settings.distill_steps),
        base.prediction_type,
        rng,
        trajectory=trajectory,
        batch=16 if side <= 32 else 4,
        device=base.device,
    )
