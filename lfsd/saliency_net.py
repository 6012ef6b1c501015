"""A small network that tells where the subject of some photos is.

`recipes/pocket/train_saliency.py` makes it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from lfsd.lab import F32

WEIGHTS = Path(__file__).with_suffix(".safetensors")
WIDTHS = (32, 64, 96, 128)
SIDE = 128
TOGETHER = 8
"""Photos that see each other; it learned from up to four at a time."""


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _Whole(nn.Module):
    """Every place sees every other, in all photos of the set: the subject is what comes back."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.heads = heads

    def forward(self, x: Tensor, photos: int) -> Tensor:
        b, c, h, w = x.shape
        sets = self.qkv(self.norm(x)).view(b // photos, photos, 3, self.heads, -1, h * w)
        q, k, v = sets.permute(2, 0, 3, 1, 5, 4).flatten(3, 4)  # each [sets, heads, photos*h*w, d]
        mixed = F.scaled_dot_product_attention(q, k, v).unflatten(2, (photos, h * w))
        return x + self.out(mixed.permute(0, 2, 1, 4, 3).reshape(b, c, h, w))


class SaliencyNet(nn.Module):
    """A U-Net: RGB [B,3,h,w] in 0..1, `photos` of each set one after another, to log odds of
    "subject" [B,1,h/2,w/2]. Sides are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        steps = zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in steps)
        self.encode = nn.ModuleList(_Block(w) for w in WIDTHS)
        deep = WIDTHS[-1]
        self.middle = nn.ModuleList([_Whole(deep), _Block(deep), _Whole(deep), _Block(deep)])
        pairs = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.Conv2d(a + b, b, 3, padding=1) for a, b in pairs)
        self.decode = nn.ModuleList(_Block(b) for _, b in pairs)
        self.out = nn.Conv2d(WIDTHS[0], 1, 3, padding=1)

    def forward(self, rgb: Tensor, photos: int = 1) -> Tensor:
        light = rgb.flatten(1).quantile(0.98, dim=1).view(-1, 1, 1, 1)
        x = rgb * (0.92 / light.clamp_min(1e-3)).clamp(1, 3) * 4 - 2  # dark photos look like others
        kept = []
        for down, encode in zip(self.down, self.encode, strict=True):
            x = encode(down(x))
            kept.append(x)
        x = kept.pop()
        for i, layer in enumerate(self.middle):
            x = layer(x) if i % 2 else layer(x, photos)
        for up, decode in zip(self.up, self.decode, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
            x = decode(up(torch.cat([x, kept.pop()], 1)))
        logits: Tensor = self.out(F.silu(x))
        return logits


def log_odds(images: Sequence[Image.Image]) -> list[F32]:
    """Log odds of "subject" [SIDE, SIDE] for each of some RGB photos that show one subject.

    Photos are squeezed to a square. Each is seen as it is and mirrored.
    """
    if not images:
        return []
    net = _load()
    box, size = Image.Resampling.BOX, (SIDE, SIDE)
    squares = np.stack([image.resize(size, box, reducing_gap=2.0) for image in images])
    rgb = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        found = [
            net(part, len(part)) + net(part.flip(3), len(part)).flip(3)
            for part in rgb.tensor_split(-(-len(rgb) // TOGETHER))
        ]
        full = F.interpolate(torch.cat(found) / 2, scale_factor=2.0, mode="bilinear")
    return list(full[:, 0].numpy())


def _load() -> SaliencyNet:
    """The network in the wheel, on the CPU."""
    net = SaliencyNet().eval()
    net.load_state_dict({name: weight.float() for name, weight in load_file(WEIGHTS).items()})
    return net
