"""The training loop: photos and pooled latents in one forward, one optimiser step after another.

L = L_DM + weight * L_KD (arXiv 2411.05544, abstract). The student's forward holds a batch of photos
and, behind them, pooled latents of the teacher's trajectories, so distillation costs a larger batch
and the pool, not two more passes.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lfsd import checkpoint as saved
from lfsd.adapter import TEACHER, Adapter, Guard, fitted
from lfsd.base import FULL_WIDTH, BaseModel
from lfsd.context import ConceptContext
from lfsd.data import Draw, PhotoLatents, draw_batch, draw_evenly, draw_replay
from lfsd.distill import Pool, kd_loss
from lfsd.errors import InterruptedLearning, LfsdError, ResourceError
from lfsd.events import Checkpoint, Event, EventCallback, Notice, Preview, Stage, Step, ignore
from lfsd.muon import Muon
from lfsd.pool import encode_prompts, taught_by_base, trajectories
from lfsd.pool import make_pool as teacher_pool
from lfsd.prompts import distillation_prompts
from lfsd.randomness import seeded
from lfsd.settings import Settings
from lfsd.shown import Shown, ShownContexts
from lfsd.student import Batch, Student

GUARD_AFTER = 3
MUON_RATE = 4.0
"""What Muon bears of AdamW's learning rate."""
FULL_TEXT_WIDTH = 768
"""Width of Stable Diffusion's text encoder."""
STUDENT_REFRESH = 25


def usual_rate(base: BaseModel, optimizer: str | None) -> float:
    """The adapter's learning rate when the settings name none.

    Adam moves every weight alike, so what a step changes in a layer's output grows with its width
    (arXiv 2203.03466): the rate is in proportion to 1 / width for a UNet narrower than Stable
    Diffusion's. Muon's steps, which no direction dominates, may be larger.
    """
    return 2e-4 * max(1.0, FULL_WIDTH / base.width) * (MUON_RATE if optimizer == "muon" else 1)


def usual_token_rate(base: BaseModel) -> float:
    """The token rows' learning rate when the settings name none: as `usual_rate`, by the width of
    the (narrowest) text encoder."""
    return 5e-3 * max(1.0, FULL_TEXT_WIDTH / min(t.weight.shape[1] for t in base.token_tables))


@dataclass(frozen=True)
class Subject:
    """What is learned: its token and class noun; of the concepts before it (token, noun) and what
    contexts they have."""

    token: str
    class_noun: str
    earlier: Sequence[tuple[str, str]] = ()
    contexts: Sequence[ConceptContext] = ()


@dataclass
class Loop:
    """A session under way; `run` takes it to its end.

    Other ways of not forgetting are subclasses: with another pool, or a penalty on the weights.
    """

    base: BaseModel
    adapter: Adapter
    subject: Subject
    data: PhotoLatents
    rows: list[nn.Parameter]
    settings: Settings
    accelerator: Accelerator
    on_event: EventCallback = ignore
    step: int = 0
    chunks: int = 1
    pool: Pool | None = None
    pool_seconds: float = 0.0
    losses: dict[str, list[float]] = field(default_factory=lambda: {"dm": [], "kd": []})

    def __post_init__(self) -> None:
        self.settings = fitted(self.settings, self.base)
        s, token, noun = self.settings, self.subject.token, self.subject.class_noun
        self.key = (token,)
        self.groups = self.pool_prompts()
        every = [""] + [p for group in self.groups.values() for p in group]
        self.prompts = encode_prompts(self.base, every)
        by_base = taught_by_base(self.prompts, self.groups, s.teacher)
        shares = [s.base_share if its else 1.0 for its in by_base]
        self.shares = torch.tensor(shares, device=self.base.device)
        self.shown = ShownContexts(self.base, self.data, token, noun, s)
        self.kd_batch = self._shared(s.distill_batch if s.distill and s.distill_weight else 0)
        self.replay = self._shared(min(s.replay, self.data.concepts))
        # every session costs what later ones do
        photos = max(s.batch, s.batch + s.replay - self.replay)
        self.batch = self._shared(photos)
        if self.batch != photos:
            world = self.accelerator.num_processes
            self.tell(Notice(f"batch {self.batch} instead of {photos}, to share among {world}"))
        self.rates = (
            s.lr_adapter or usual_rate(self.base, s.optimizer),
            usual_token_rate(self.base) if s.lr_token is None else s.lr_token,
        )
        groups = [
            {
                "params": self.adapter.parameters(),
                "weight_decay": s.weight_decay,
                "orthogonal": s.optimizer == "muon",
            },
            {"params": self.rows, "weight_decay": 0.0},
        ]
        optimizer = Muon(groups, fused=self.base.device.type in ("cpu", "cuda"))
        student = Student(self.base, self.rows)
        self.student, self.optimizer = self.accelerator.prepare(student, optimizer)
        self.guard = Guard(self.adapter, self.rows)

    def _shared(self, rows: int) -> int:
        """As many rows or a few more, so that each process has as many as any other."""
        world = self.accelerator.num_processes
        return -(-rows // world) * world

    def tell(self, event: Event) -> None:
        """Pass an event on, from the main process only."""
        if self.accelerator.is_main_process:
            self.on_event(event)

    def pool_prompts(self) -> dict[str, list[str]]:
        """Group -> prompts of the pool, whose text states do not change within the session.

        Of each as many as the session's pools can reach, however many concepts there are.
        """
        s = self.settings
        groups = distillation_prompts(self.subject.class_noun, self.subject.earlier, s)
        reach = trajectories(s, self.accelerator) * -(-s.steps // self.refresh_every)
        return {group: prompts[:reach] for group, prompts in groups.items()}

    def make_pool(self, number: int, rng: torch.Generator) -> Pool:
        """The session's `number`th pool: latents, and the predictions to make of them."""
        return teacher_pool(
            self.adapter,
            self.accelerator,
            self.prompts,
            self.groups,
            self.pool_entries,
            number,
            rng,
        )

    @property
    def refresh_every(self) -> int:
        """Steps that one pool serves."""
        s = self.settings
        usual = STUDENT_REFRESH if s.trajectory == "student" else s.steps
        return s.pool_refresh or usual

    @property
    def pool_entries(self) -> int:
        """Entries that these steps see."""
        return self.refresh_every * self.settings.grad_accumulation * self.kd_batch

    def penalty(self) -> Tensor | None:
        """What every step adds to the loss beside L_DM and L_KD: here nothing."""
        return None

    def learned(self) -> None:
        """What a session does after its last step: here nothing."""

    def close(self) -> None:
        """What a session leaves as it was, however it ended: here nothing."""

    # the loop

    def run(
        self,
        folder: Path | None,
        about: dict[str, object],
        should_stop: Callable[[], bool],
        preview: Callable[[int], Path] | None,
    ) -> None:
        """Learn until the last step. InterruptedLearning if told to stop, after a checkpoint."""
        s, first, began = self.settings, self.step, time.perf_counter()
        while self.step < s.steps:
            self._refresh_pool()
            loss_dm, loss_kd = self._safe_step()
            self.step += 1
            if self.step - first == GUARD_AFTER or self.step == s.steps:
                self.guard.check(rows_move=self.rates[1] > 0)
            rate = (self.step - first) / (time.perf_counter() - began)
            loss = loss_dm + s.distill_weight * loss_kd
            left = (s.steps - self.step) / rate
            self.tell(Step(self.step, s.steps, loss, loss_dm, loss_kd, left, rate))
            stop = self._any(should_stop()) and self.step < s.steps
            due = s.checkpoint_every and self.step % s.checkpoint_every == 0
            if folder is not None and (stop or (due and self.step < s.steps)):
                self._save(folder, about)
            if stop:
                raise InterruptedLearning(
                    f"stopped after step {self.step} of {s.steps}",
                    "the same command with --resume goes on" if folder else "",
                )
            if preview and s.preview_every and self.step % s.preview_every == 0:
                self._preview(preview)

    def _safe_step(self) -> tuple[float, float]:
        """One optimiser step; out of memory cuts the forward in two and repeats it."""
        while True:
            try:
                return self._step()
            except torch.OutOfMemoryError as error:
                self.optimizer.zero_grad(set_to_none=True)
                alone = self.accelerator.num_processes == 1 and self.settings.grad_accumulation == 1
                rows = self.batch + self.replay
                if not alone or self.chunks >= rows:
                    raise ResourceError(
                        "the device has too little memory",
                        "try --batch 1 --set replay=1, or a smaller --resolution",
                    ) from error
                self.chunks = min(rows, self.chunks * 2)
            torch.cuda.empty_cache()
            self.tell(Notice(f"out of memory: going on with batches cut into {self.chunks}"))

    def _step(self) -> tuple[float, float]:
        s = self.settings
        self._set_rates()
        sums = [0.0, 0.0]
        for micro in range(s.grad_accumulation):
            with self.accelerator.accumulate(self.student):
                for part, (dm, kd) in enumerate(self._losses(micro)):
                    loss = dm + s.distill_weight * kd
                    penalty = self.penalty() if part == 0 else None
                    self.accelerator.backward(loss if penalty is None else loss + penalty)
                    sums[0] += float(dm.detach()) / s.grad_accumulation
                    sums[1] += float(kd.detach()) / s.grad_accumulation
                if self.accelerator.sync_gradients and s.max_grad_norm:
                    trained = [*self.adapter.parameters(), *self.rows]
                    self.accelerator.clip_grad_norm_(trained, s.max_grad_norm)
                self.optimizer.step()
                if self.accelerator.sync_gradients:
                    self._back_to_start()
                self.optimizer.zero_grad(set_to_none=True)
        if self.accelerator.num_processes > 1:
            both = torch.tensor(sums, device=self.base.device)
            sums = self.accelerator.reduce(both, "mean").tolist()
        if not all(math.isfinite(value) for value in sums):
            raise LfsdError(
                f"the loss is not finite at step {self.step + 1}",
                "lower the learning rate, or use --precision float32",
            )
        for name, value in zip(("dm", "kd"), sums, strict=True):
            self.losses[name].append(value)
        return sums[0], sums[1]

    @torch.no_grad()
    def _back_to_start(self) -> None:
        """L2-SP: a share of the way to the teacher, which is the adapter as the session began."""
        share = self.settings.l2_sp * self.optimizer.param_groups[0]["lr"] / self.rates[0]
        if share:
            start = self.adapter.parameters(TEACHER)
            torch._foreach_lerp_(self.adapter.parameters(), start, share)

    def _losses(self, micro: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(L_DM, L_KD) of one micro step in `chunks` forwards whose sum is the whole's mean.

        The caller runs backward in between, so that one forward's memory is free before the next.
        """
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        number = self.step * self.settings.grad_accumulation + micro
        key = (*self.key, "step", number)
        draw = draw_batch(self.data, self.settings, key, self.base.num_train_timesteps, self.batch)
        draw, shown = self.shown.draw(draw, (*self.key, "context", number))
        if self.replay:
            key, total = (*self.key, "replay"), self.base.num_train_timesteps
            again = draw_replay(self.data, self.settings, key, number, total, self.replay)
            draw = Draw(*(torch.cat(parts) for parts in zip(draw, again, strict=True)))
        draw = Draw(*(part[rank::world] for part in draw))
        picked = torch.zeros(0, dtype=torch.long)
        if self.pool is not None and self.kd_batch:
            size = len(self.pool.t)
            picked = draw_evenly(size, self.settings, self.key, number, self.kd_batch)[rank::world]
        for first in range(self.chunks):
            photos = Draw(*(part[first :: self.chunks] for part in draw))
            pooled = picked[first :: self.chunks]
            dm, kd = self.part(photos, pooled, shown)
            yield dm * (len(photos.t) / len(draw.t)), kd * (len(pooled) / max(1, len(picked)))

    def part(self, draw: Draw, picked: Tensor, shown: Shown | None = None) -> tuple[Tensor, Tensor]:
        """Mean L_DM and L_KD of some photos and some pooled latents, in one forward."""
        base, device = self.base, self.base.device
        view, side, t = draw.view.to(device), draw.side.to(device), draw.t.to(device)
        clean, noise = self.data.latents[view, side], draw.noise.to(device)
        noisy, count = base.add_noise(clean, noise, t), len(t)
        named = [
            self.data.prompts[v][k % len(self.data.prompts[v])]
            for v, k in zip(draw.view.tolist(), draw.template.tolist(), strict=True)
        ]
        context = self.shown.row(shown, draw)
        prompts = list(dict.fromkeys([*named, context.prompt] if context else named))
        which = torch.tensor([prompts.index(p) for p in named], device=device)
        empty = self.prompts.states[[self.prompts.names.index("")]]
        kd_text = None
        if len(picked) and self.pool is not None:
            pool = Pool(*(part[picked.to(part.device)].to(device) for part in self.pool))
            noisy, t = torch.cat([noisy, pool.latents]), torch.cat([t, pool.t])
            kd_text = self.prompts.states[pool.prompt]
        dropped = draw.dropped.to(device)
        pred = self.student(Batch(noisy, t, prompts, which, dropped, empty, kd_text, context))
        error = (pred[:count] - base.target(clean, noise, t[:count])).square()
        dm = (error * self.data.weights[view, side][:, None]).mean()
        kd = torch.zeros((), device=device)
        if kd_text is not None:
            a = base.alphas_cumprod[t[count:]]
            space = self.settings.distill_space
            each = kd_loss(pred[count:], pool.teacher, a, base.prediction_type, space)
            kd = (each * self.shares[pool.prompt]).mean()
        return dm, kd

    # beside the step

    def _set_rates(self) -> None:
        s = self.settings
        rise = min(1.0, (self.step + 1) / max(1, s.warmup))
        fall = 1.0
        if s.lr_schedule == "cosine":
            fall = 0.55 + 0.45 * math.cos(math.pi * self.step / s.steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * rise * fall

    def _refresh_pool(self) -> None:
        if not self.kd_batch:
            return
        s = self.settings
        if self.pool is not None and self.step % self.refresh_every:
            return
        began = time.perf_counter()
        number = self.step // self.refresh_every
        rng = seeded(s.seed, *self.key, "pool", number)
        if self.step == 0:
            self.tell(Stage("teacher"))
        self.pool = self.make_pool(number, rng)
        self.pool_seconds += time.perf_counter() - began
        if self.step == 0:
            self.tell(Stage("learning"))

    def _any(self, flag: bool) -> bool:
        if self.accelerator.num_processes == 1:
            return flag
        votes = torch.tensor([float(flag)], device=self.base.device)
        return bool(self.accelerator.reduce(votes, "sum").item() > 0)

    def _preview(self, preview: Callable[[int], Path]) -> None:
        if self.accelerator.is_main_process:
            self.tell(Preview(preview(self.step), self.step))
        self.accelerator.wait_for_everyone()

    def _save(self, folder: Path, about: dict[str, object]) -> None:
        if self.accelerator.is_main_process:
            tensors: dict[str, Tensor] = dict(self.adapter.named())
            tensors |= {f"rows.{i}": row for i, row in enumerate(self.rows)}
            tensors |= saved.optimizer_tensors(self.optimizer)
            if self.pool is not None:
                tensors |= {f"pool.{k}": v for k, v in self.pool._asdict().items()}
            about = {**about, "step": self.step, "losses": self.losses}
            self.tell(Checkpoint(saved.save_checkpoint(folder, tensors, about), self.step))
        self.accelerator.wait_for_everyone()

    @torch.no_grad()
    def restore(self, folder: Path, about: dict[str, object]) -> None:
        """Go on from the checkpoint in `folder`; UsageError if it is another session's."""
        tensors, found = saved.load_checkpoint(folder)
        saved.check_same(found, about)
        for key, parameter in self.adapter.named():
            parameter.copy_(tensors[key])
        for i, row in enumerate(self.rows):
            row.copy_(tensors[f"rows.{i}"])
        saved.restore_optimizer(self.optimizer, tensors)
        if "pool.t" in tensors:
            self.pool = Pool(*(tensors[f"pool.{k}"] for k in Pool._fields))
        self.step, self.losses = int(found["step"]), found["losses"]
        self.guard = Guard(self.adapter, self.rows)
