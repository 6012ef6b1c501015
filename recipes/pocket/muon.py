"""Muon: momentum whose every matrix is orthogonalised (Jordan et al., 2024), shared among processes.

Where AdamW's update is dominated by a few directions of a weight matrix, Muon's moves all of them alike, so a small network
learns in fewer pictures. Convolutions count as matrices [out, in * k * k]. The iteration runs on the Gram matrix [m, m] of
the shorter side, which for convolutions costs less than half of the usual form; `torch.optim.Muon` takes only 2-D weights.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

#: quintic coefficients, one triple an iteration (Polar Express, arXiv 2505.16932, with its safety factor of 1.01)
COEFFICIENTS = (
    (8.2051, -22.9019, 16.4607),
    (4.0664, -2.8612, 0.5184),
    (3.9096, -2.8234, 0.5250),
    (3.2856, -2.4153, 0.4853),
    (2.2779, -1.6198, 0.3985),
)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with equal singular values, near 1 (its polar factor): [m, n] -> [m, n]."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    unit = wide / (1.01 * wide.norm() + 1e-7)
    gram = unit @ unit.T
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    whole = identity
    for a, b, c in COEFFICIENTS:
        turn = a * identity + b * gram + c * (gram @ gram)
        whole, gram = turn @ whole, turn @ gram @ turn
    found = whole @ unit
    return found if wide is matrix else found.T


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum; scaled so that a learning rate for AdamW serves (arXiv 2502.16982, eq. 4)."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            used = [p for p in group["params"] if p.grad is not None]
            if used:
                updates = self._updates(used, group["momentum"])
                torch._foreach_mul_(used, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(used, updates, alpha=-group["lr"])

    def _updates(self, parameters: list[nn.Parameter], momentum: float) -> list[Tensor]:
        """Every parameter's update; each process orthogonalises its share of them."""
        world = dist.get_world_size() if dist.is_initialized() else 1
        rank = dist.get_rank() if world > 1 else 0
        updates = [torch.zeros_like(p) for p in parameters]
        largest_first = sorted(range(len(parameters)), key=lambda i: -parameters[i].numel())
        for turn, i in enumerate(largest_first):  # dealt out in turn, which shares the work evenly
            parameter = parameters[i]
            assert parameter.grad is not None
            if "average" not in self.state[parameter]:
                self.state[parameter]["average"] = torch.zeros_like(parameter)
            average = self.state[parameter]["average"].lerp_(parameter.grad, 1 - momentum)
            if turn % world == rank:
                ahead = parameter.grad.lerp(average, momentum).flatten(1)
                scale = 0.2 * max(ahead.shape) ** 0.5
                updates[i].copy_((scale * orthogonal(ahead)).view_as(parameter))
        if world > 1:
            flat = torch.cat([u.flatten() for u in updates])
            dist.all_reduce(flat)
            parts = flat.split([u.numel() for u in updates])
            updates = [p.view_as(u) for p, u in zip(parts, updates, strict=True)]
        return updates
