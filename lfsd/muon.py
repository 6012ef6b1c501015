"""Muon (Jordan et al., 2024): momentum whose every matrix is orthogonalised before it is a step.

AdamW's update of a LoRA matrix is dominated by a few directions; Muon's moves all of them alike, so
that a narrow network learns a subject in fewer steps. `torch.optim.Muon` takes only 2-D weights;
here convolutions count as matrices [out, in * k * k], and all are computed at once.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.8
"""Shorter than the usual 0.95: a session has few steps, and an average over twenty lags behind."""

COEFFICIENTS = (
    (8.2051, -22.9019, 16.4607),
    (4.0664, -2.8612, 0.5184),
    (3.9096, -2.8234, 0.5250),
    (3.2856, -2.4153, 0.4853),
    (2.2779, -1.6198, 0.3985),
)
"""Of the quintic iteration, one triple a round (Polar Express, arXiv 2505.16932, with its safety
factor of 1.01)."""


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Of each its nearest matrix with equal singular values, near 1 (its polar factor).

    Shapes [n, rows, columns], each its own. The iteration runs on the Gram matrices of the shorter
    sides, which are small for LoRA's and mostly of one size: those are computed at once.
    """
    wide = [m if m.shape[-2] <= m.shape[-1] else m.mT for m in matrices]
    unit = [m / (1.01 * m.norm(dim=(-2, -1), keepdim=True) + 1e-7) for m in wide]
    found = list(unit)
    for side in {m.shape[-2] for m in wide}:
        alike = [i for i, m in enumerate(wide) if m.shape[-2] == side]
        roots = _inverse_roots(torch.cat([unit[i] @ unit[i].mT for i in alike]))
        for i, root in zip(alike, roots.split([len(unit[i]) for i in alike]), strict=True):
            found[i] = root @ unit[i]
    return [f if w is m else f.mT for f, w, m in zip(found, wide, matrices, strict=True)]


def _inverse_roots(gram: Tensor) -> Tensor:
    """What a matrix of this Gram matrix [n, side, side] is multiplied by to be orthogonal."""
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    whole = identity.expand_as(gram)
    for a, b, c in COEFFICIENTS:
        turn = a * identity + b * gram + c * (gram @ gram)
        whole, gram = turn @ whole, turn @ gram @ turn
    return whole


def step_size(rows: int, columns: int) -> float:
    """What an orthogonal [rows, columns] is multiplied by, so that its entries are as large as
    AdamW's update and its learning rates serve (arXiv 2502.16982, eq. 4)."""
    return 0.2 * float(max(rows, columns)) ** 0.5


class Muon(torch.optim.AdamW):
    """AdamW, except for parameter groups marked `orthogonal`, whose matrices take Muon's step.

    One optimiser for both, because a scaler of half-precision gradients serves one.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every group; the gradients of orthogonal ones are used up."""
        for group in self.param_groups:
            if group.get("orthogonal"):
                self._orthogonal_step(group)
        return super().step(closure)

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        moving = [p for p in group["params"] if p.grad is not None]
        if not moving:
            return
        alike: dict[torch.Size, list[int]] = defaultdict(list)
        for i, parameter in enumerate(moving):
            alike[parameter.shape].append(i)
        ahead = self._ahead(moving)
        if group["weight_decay"]:
            torch._foreach_mul_(moving, 1 - group["lr"] * group["weight_decay"])
        stacked = [torch.stack([ahead[i].flatten(1) for i in its]) for its in alike.values()]
        for (shape, its), update in zip(alike.items(), orthogonal(stacked), strict=True):
            steps = update.reshape(-1, *shape).unbind()
            scale = group["lr"] * step_size(*update.shape[1:])
            torch._foreach_sub_([moving[i] for i in its], steps, alpha=scale)
        for parameter in moving:
            parameter.grad = None

    def _ahead(self, parameters: list[Tensor]) -> tuple[Tensor, ...]:
        """Nesterov's gradients: where the momentum carries to, and the gradient there."""
        gradients = [p.grad for p in parameters]
        for parameter in parameters:
            state = self.state[parameter]
            if "average" not in state:
                state["average"] = torch.zeros_like(parameter)
                state["step"] = torch.zeros(())  # AdamW's loading wants one of every parameter
        averages = [self.state[p]["average"] for p in parameters]
        torch._foreach_lerp_(averages, gradients, 1 - MOMENTUM)
        return torch._foreach_lerp(gradients, averages, MOMENTUM)
