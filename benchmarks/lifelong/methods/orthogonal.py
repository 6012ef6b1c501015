"""Every session in a subspace of its own, in the manner of orthogonal adaptation (2312.02432)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.protocol import Session
from lfsd.adapter import Adapter
from lfsd.base import BaseModel
from lfsd.loop import Loop
from lfsd.randomness import seeded
from lfsd.settings import Settings

A = "lora_A.weight"


@dataclass
class BlockLoop(Loop):
    """Trains the columns `first` to `last` - 1 of every lora_B and nothing else of the adapter."""

    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hooks = []
        for key, parameter in self.adapter.named():
            if key.endswith(A):
                parameter.requires_grad_(False)
            else:
                # AdamW and Muon leave a column alone, bit for bit, whose gradient is always 0
                self.hooks.append(parameter.register_hook(self._only_block))

    def _only_block(self, gradient: Tensor) -> Tensor:
        kept = torch.zeros_like(gradient)
        kept[:, self.first : self.last] = gradient[:, self.first : self.last]
        return kept

    def close(self) -> None:
        """Let the other columns go."""
        for hook in self.hooks:
            hook.remove()


class Orthogonal(Learner):
    """One adapter of rank sessions x block: session k owns block k, its lora_A rows are fixed.

    In a layer of width d (of a convolution: all it sees at once) no more than d rows can be
    orthogonal, so a session gets at most d // sessions of them there; the block's other rows stay 0
    and learn nothing.
    """

    block = 0

    def __init__(
        self,
        base: BaseModel,
        settings: Settings,
        sessions: Sequence[Session],
        weight: float | None = None,
    ) -> None:
        super().__init__(base, settings, sessions, weight)
        state = self.adapter.state()
        for key in state:
            if key.endswith(A):
                rank, *width = state[key].shape
                state[key] = self.basis(key, rank, math.prod(width)).reshape(rank, *width)
        self.adapter.load(state)

    def shaped(self, settings: Settings) -> Settings:
        """The rank that all sessions need together, at the same scale as the others' adapters."""
        probe = Adapter(self.base, settings.changed(rank=1))
        widest = max(p.flatten(1).shape[1] for k, p in probe.named() if k.endswith(A))
        probe.detach()
        self.block = min(settings.rank, max(1, widest // len(self.sessions)))
        rank = self.block * len(self.sessions)
        scale = settings.alpha / settings.rank
        return settings.changed(rank=rank, alpha=scale * rank, weight_decay=0.0)

    def basis(self, key: str, rank: int, width: int) -> np.ndarray:
        """A layer's lora_A [rank,width]: the sessions' blocks of orthogonal rows."""
        rng = seeded(self.settings.seed, "basis", key)
        each = min(self.block, width // len(self.sessions))
        needed = max(1, each * len(self.sessions))
        rows = torch.linalg.qr(torch.randn(width, needed, generator=rng))[0].T
        found = torch.zeros(rank, width)
        for k in range(len(self.sessions)):
            found[k * self.block : k * self.block + each] = rows[k * each : (k + 1) * each]
        # as long as the rows of an ordinary lora_A are when it begins
        return (found / 3**0.5).numpy()

    def loop(self, session: Session) -> Callable[..., Loop]:
        """The loop of this session's block."""
        first = (session.number - 1) * self.block
        return partial(BlockLoop, first=first, last=first + self.block)
