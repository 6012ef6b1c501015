"""Muon (`lfsd.muon`) for whole networks, whose matrices are large: each process orthogonalises its share of them."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lfsd.muon import orthogonal, step_size


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum; scaled so that a learning rate for AdamW serves."""

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
                updates[i].copy_(
                    (step_size(*ahead.shape) * orthogonal([ahead[None]])[0]).view_as(parameter)
                )
        if world > 1:
            flat = torch.cat([u.flatten() for u in updates])
            dist.all_reduce(flat)
            parts = flat.split([u.numel() for u in updates])
            updates = [p.view_as(u) for p, u in zip(parts, updates, strict=True)]
        return updates
