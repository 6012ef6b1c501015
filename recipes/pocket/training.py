"""What the three training stages share: one loop with a time budget, a learning-rate curve, averaged weights and a log."""

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

LOG_EVERY = 100  # steps
SAVE_EVERY = 500


class Budget:
    """Counts a stage's minutes; `fraction` runs from 0 to 1 and drives the learning rate."""

    def __init__(self, minutes: float) -> None:
        self.start, self.seconds = time.monotonic(), minutes * 60

    @property
    def fraction(self) -> float:
        return min(1.0, (time.monotonic() - self.start) / self.seconds)

    def steps(self, limit: int | None = None) -> Iterator[int]:
        step = 0
        while agreed(self.fraction < 1 and (limit is None or step < limit)):
            yield step
            step += 1


@dataclass
class Stage:
    """A stage's loop: what is optimised, and which modules' averages are kept under which file names."""

    name: str
    args: Namespace
    optimisers: Sequence[torch.optim.Optimizer]
    kept: dict[str, nn.Module]
    rate: float
    warmup: int = 200
    decay: float = 0.999
    fraction: float = 0.0  # of the minutes that are over, while it runs

    def run(self, losses: Callable[[int], dict[str, Tensor]]) -> None:
        """Train until the minutes or steps are over; `losses(step)` gives "loss" and figures worth logging."""
        groups = [group for o in self.optimisers for group in o.param_groups]
        parameters = [p for group in groups for p in group["params"]]
        parameters = [p for p in parameters if p.requires_grad]
        averages = {file: Average(module, self.decay) for file, module in self.kept.items()}
        budget, sums, since = Budget(self.args.minutes), dict[str, Tensor](), 0
        for step in budget.steps(self.args.limit):
            self.fraction = budget.fraction
            set_rate(groups, learning_rate(self.rate, step, self.fraction, self.warmup))
            found = losses(step)
            for optimiser in self.optimisers:
                optimiser.zero_grad()
            found["loss"].backward()
            share_gradients(parameters)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimiser in self.optimisers:
                optimiser.step()
            for average in averages.values():
                average.update()
            sums = {k: sums.get(k, 0) + v.detach() for k, v in found.items()}
            since += 1
            if step % LOG_EVERY == LOG_EVERY - 1:
                means = {k: float(v) / since for k, v in sums.items()}
                samples = (step + 1) * self.args.batch
                self.log(step=step + 1, samples=samples, fraction=self.fraction, **means)
                sums, since = {}, 0
            if step % SAVE_EVERY == SAVE_EVERY - 1:
                self._save(averages)
        self._save(averages)

    def log(self, **figures: float | int) -> None:
        """A line about this stage in the log."""
        log(self.args.log, stage=self.name, **figures)

    def _save(self, averages: dict[str, "Average"]) -> None:
        for file, average in averages.items():
            save_state(average.state(), self.args.work / "checkpoints" / f"{file}.safetensors")


def learning_rate(peak: float, step: int, fraction: float, warmup: int = 200) -> float:
    """Linear warm-up in steps, then linear decay over the time budget (never to zero)."""
    return peak * min(1.0, (step + 1) / warmup) * max(0.02, 1 - fraction)


def set_rate(groups: list[dict[str, Any]], rate: float) -> None:
    for group in groups:
        group["lr"] = rate * group.get("scale", 1.0)


def share_gradients(parameters: list[nn.Parameter]) -> None:
    """Average gradients over the processes of `torchrun`."""
    share([p.grad for p in parameters if p.grad is not None])


def share(tensors: list[Tensor]) -> None:
    """Average tensors over the processes, in place and in one message; nothing to do for one process."""
    if not dist.is_initialized():
        return
    flat = torch.cat([g.reshape(-1) for g in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    torch._foreach_copy_(
        tensors,
        [
            f.view_as(g)
            for f, g in zip(flat.split([g.numel() for g in tensors]), tensors, strict=True)
        ],
    )


def agreed(going_on: bool) -> bool:
    """Whether all processes go on: clocks differ, and one that stopped alone would leave the others waiting."""
    if not dist.is_initialized():
        return going_on
    vote = torch.tensor(float(going_on))
    dist.all_reduce(vote, dist.ReduceOp.MIN)
    return bool(vote)


class Average:
    """Exponential moving average of a module's parameters, with the usual warm-up of the decay."""

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.module, self.decay, self.step = module, decay, 0
        self.shadow = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in self.module.parameters()], 1 - decay)

    def state(self) -> dict[str, Tensor]:
        names = [n for n, _ in self.module.named_parameters()]
        buffers = {n: b for n, b in self.module.state_dict().items() if n not in names}
        return buffers | dict(zip(names, self.shadow, strict=True))


def save_state(state: dict[str, Tensor], path: Path) -> None:
    """Written beside and renamed, so that a stopped run keeps its last good checkpoint."""
    if rank() != 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(
        {
            k: v.detach()
            .to("cpu", torch.float16 if v.is_floating_point() else v.dtype)
            .contiguous()
            for k, v in state.items()
        },
        partial,
    )
    partial.replace(path)


def load_into(module: nn.Module, path: Path) -> bool:
    """Continue from a checkpoint when there is one."""
    if not path.exists():
        return False
    state = load_file(path)
    module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return True


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def log(path: Path, **figures: float | int | str) -> None:
    if rank() != 0:
        return
    line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()})
    with path.open("a", encoding="utf-8") as f:
        f.write(line + "\n")
    print(line, flush=True)
