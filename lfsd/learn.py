"""One session of learning: a token put in, photos encoded, the loop run, the outcome on the CPU."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState

from lfsd.adapter import Adapter, State
from lfsd.base import BaseModel
from lfsd.data import encode_photos, with_replay
from lfsd.events import EventCallback, ignore
from lfsd.loop import Loop, Subject
from lfsd.photos import PreparedPhoto
from lfsd.settings import Settings
from lfsd.tokens import insert_token, token_rows


@dataclass(frozen=True)
class LearnedSession:
    """The outcome of a session, all on the CPU.

    rows: one [k,D] array per text encoder. latents [P,C,h,w] and masks [P,h,w] of the photos are
    what contexts are chosen from. losses: name -> one value per step.
    """

    adapter: State
    rows: list[np.ndarray]
    latents: np.ndarray
    masks: np.ndarray | None
    losses: dict[str, list[float]]
    steps: int
    seconds: float
    seconds_per_step: float
    pool_seconds: float


def learn_session(
    base: BaseModel,
    adapter: Adapter,
    subject: Subject,
    photos: Sequence[PreparedPhoto],
    settings: Settings,
    *,
    on_event: EventCallback = ignore,
    should_stop: Callable[[], bool] = lambda: False,
    work_dir: Path | None = None,
    resume: bool = False,
    preview: Callable[[int], Path] | None = None,
    parent: str = "",
    loop: Callable[..., Loop] = Loop,
) -> LearnedSession:
    """Learn one subject from its photos; the new token and the trained student are left in place.

    The teacher is the adapter as it is now; `loop` makes the training loop. With `work_dir`
    checkpoints are written there, and `resume` continues one to the same result bit for bit. Raises
    InterruptedLearning when `should_stop` said so.
    """
    accelerator = make_accelerator(base, settings)
    began = time.perf_counter()
    adapter.snapshot_teacher()
    adapter.trainable(True)
    if settings.gradient_checkpointing:
        base.unet.enable_gradient_checkpointing()
    rows = insert_token(
        base, subject.token, subject.class_noun, settings.token_rows, settings.token_init
    )
    try:
        data = encode_photos(base, photos, subject.token, subject.class_noun, settings)
        if settings.replay:
            data = with_replay(base, data, subject.contexts, settings)
        session = loop(base, adapter, subject, data, rows, settings, accelerator, on_event)
        about = session_about(base, subject, photos, settings, parent)
        if resume and work_dir is not None:
            session.restore(work_dir, about)
        first, start = session.step, time.perf_counter()
        try:
            session.run(work_dir, about, should_stop, preview)
            looped = time.perf_counter() - start
            session.learned()
        finally:
            session.close()
    finally:
        for row in rows:
            row.requires_grad_(False)
        accelerator.free_memory()
    return LearnedSession(
        adapter=adapter.state(),
        rows=token_rows(base, subject.token),
        latents=data.plain.cpu().numpy(),
        masks=data.masks,
        losses=session.losses,
        steps=settings.steps,
        seconds=time.perf_counter() - began,
        seconds_per_step=looped / max(1, settings.steps - first),
        pool_seconds=session.pool_seconds,
    )


def make_accelerator(base: BaseModel, settings: Settings) -> Accelerator:
    """accelerate's view of this process; mixed precision is the base's own, but for fp16's loss
    scaling."""
    return Accelerator(
        cpu=base.device.type == "cpu",
        mixed_precision="fp16" if base.dtype == torch.float16 else "no",
        gradient_accumulation_steps=settings.grad_accumulation,
    )


def wait_for_everyone() -> None:
    """Wait until all processes of an `accelerate launch` are here; nothing when there is one."""
    PartialState().wait_for_everyone()


def session_about(
    base: BaseModel,
    subject: Subject,
    photos: Sequence[PreparedPhoto],
    settings: Settings,
    parent: str,
) -> dict[str, object]:
    """What must be equal for a checkpoint to be continued."""
    free = ("checkpoint_every", "preview_every", "measure", "device", "thumbnail")
    return {
        "token": subject.token,
        "class": subject.class_noun,
        "base": base.ref.sha256,
        "parent_session": parent,
        "photos": [[p.sha256, p.caption] for p in photos],
        "settings": {k: v for k, v in settings.to_dict().items() if k not in free},
    }
