"""Methods that hold weights in place: a penalty on the adapter, no pool."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from benchmarks.lifelong.methods.learner import Arrays, Learner
from benchmarks.lifelong.protocol import Session
from lfsd.adapter import STUDENT, TEACHER
from lfsd.data import draw_batch
from lfsd.loop import Loop

FISHER_DRAWS = 32
"""Photo draws that one session's Fisher information is estimated from."""


@dataclass
class EwcLoop(Loop):
    """weight / 2 * sum F (theta - theta before)^2 over the adapter's matrices."""

    weight: float = 0.0
    fisher: Arrays = field(default_factory=dict)
    """Key of a matrix -> importance of its entries, summed over sessions; `learned` adds to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        device = self.base.device
        self.importance = [
            torch.from_numpy(self.fisher[key]).to(device) if key in self.fisher else None
            for key, _ in self.adapter.named()
        ]

    def penalty(self) -> Tensor | None:
        """None in the first session, 0 at the start of every other one."""
        # the teacher is the adapter as the session began
        parts = [
            (f * (mine - before).square()).sum()
            for f, mine, before in zip(
                self.importance,
                self.adapter.parameters(STUDENT),
                self.adapter.parameters(TEACHER),
                strict=True,
            )
            if f is not None
        ]
        return self.weight / 2 * torch.stack(parts).sum() if parts else None

    def learned(self) -> None:
        """Add what mattered to these photos."""
        for (key, _), found in zip(self.adapter.named(), self.information(), strict=True):
            now = found.cpu().numpy()
            self.fisher[key] = self.fisher[key] + now if key in self.fisher else now

    def information(self) -> list[Tensor]:
        """Diagonal of the empirical Fisher: mean square of L_DM's gradient, one photo draw at a
        time."""
        parameters = self.adapter.parameters()
        sums = [torch.zeros_like(p) for p in parameters]
        for number in range(FISHER_DRAWS):
            key = (*self.key, "fisher", number)
            draw = draw_batch(self.data, self.settings, key, self.base.num_train_timesteps, 1)
            dm, _ = self.part(draw, torch.zeros(0, dtype=torch.long))
            for total, slope in zip(sums, torch.autograd.grad(dm, parameters), strict=True):
                total += slope.square() / FISHER_DRAWS
        return sums


class Ewc(Learner):
    """Elastic weight consolidation (arXiv 1612.00796) in its online form: one running sum."""

    weighs = ""
    weight = 1e5

    def loop(self, session: Session) -> Callable[..., Loop]:
        """The loop, which adds to the memory."""
        return partial(EwcLoop, weight=self.weight, fisher=self.memory)


@dataclass
class CLoraLoop(Loop):
    """weight * sum (|W before| * change of W)^2, W being a layer's whole update B A."""

    weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        with torch.no_grad():
            self.before = self.updates(STUDENT)
        self.touched = any(bool(update.any()) for update in self.before)

    def updates(self, name: str) -> list[Tensor]:
        """Every layer's update of the base's weight; a convolution's as a matrix."""
        return [
            layer.scaling[name]
            * layer.lora_B[name].weight.flatten(1)
            @ layer.lora_A[name].weight.flatten(1)
            for layer in self.adapter.layers.values()
        ]

    def penalty(self) -> Tensor | None:
        """None in the first session, when nothing was learned before."""
        if not self.touched:
            return None
        parts = [
            (before.abs() * (now - before)).square().sum()
            for now, before in zip(self.updates(STUDENT), self.before, strict=True)
        ]
        return self.weight * torch.stack(parts).sum()


class CLora(Learner):
    """Self-regularisation in the manner of C-LoRA (arXiv 2304.06027), on the one adapter."""

    weighs = ""
    weight = 1e3

    def loop(self, session: Session) -> Callable[..., Loop]:
        """The loop with its penalty."""
        return partial(CLoraLoop, weight=self.weight)
