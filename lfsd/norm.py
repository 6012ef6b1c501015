"""Group normalisation that keeps pace in half precision on CPUs."""

from typing import Any

import torch
from torch import Tensor, nn


class PlanarGroupNorm(nn.GroupNorm):
    """`nn.GroupNorm`, computed plane by plane where that is faster; maps are [B,C,h,w].

    Measured with torch 2.13: on a CPU in half precision and channels-last layout the kernel is 1.4
    to 11 times slower than in the ordinary one, and its backward 2.5 to 14 times, while the
    convolutions around it want channels-last. So the map is copied over and back.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; the layout is as it was."""
        last = torch.channels_last
        half_on_cpu = input.device.type == "cpu" and input.dtype in (torch.bfloat16, torch.float16)
        if input.ndim != 4 or not half_on_cpu or not input.is_contiguous(memory_format=last):
            return super().forward(input)
        return super().forward(input.contiguous()).contiguous(memory_format=last)


def install_norms(unet: Any) -> int:
    """Let every group normalisation of the UNet compute so; returns how many."""
    norms = [module for module in unet.modules() if type(module) is nn.GroupNorm]
    for norm in norms:
        norm.__class__ = PlanarGroupNorm
    return len(norms)
