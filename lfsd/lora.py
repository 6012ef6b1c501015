"""LoRA of narrow linear layers, added into the weight before the weight is applied."""

from collections.abc import Iterable
from typing import Any

import torch
from peft.tuners import lora
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.nn import functional as F


class SummedLinear(lora.Linear):
    """peft's LoRA of a linear layer, y = (W + s B A) x in the place of W x + s B (A x).

    The gradient of the sum is a whole weight's, [out,in], which costs more than B's and A's where
    the layer is much wider than the rank. Where it is not, one product takes the place of three,
    and at pocket's sizes a CPU's time goes into how many there are (decision 32).
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[...,in] to [...,out], as the active adapter says; the base's own if none is."""
        base = self.get_base_layer()
        if self.disable_adapters:
            return base(x)
        return F.linear(x, self._summed(), base.bias)

    def _summed(self) -> Tensor:
        weight = self.get_base_layer().weight
        # in half precision a small change of a large weight would be lost before it is added
        with torch.autocast(weight.device.type, enabled=False):
            for name in self.active_adapters:
                up, down = self.lora_B[name].weight, self.lora_A[name].weight
                weight = torch.addmm(weight.to(up.dtype), up, down, alpha=self.scaling[name])
        return weight


def install_sums(layers: Iterable[LoraLayer]) -> int:
    """Let LoRA of every linear layer be computed so; returns how many."""
    linear = [layer for layer in layers if type(layer) is lora.Linear]
    for layer in linear:
        layer.__class__ = SummedLinear
    return len(linear)
