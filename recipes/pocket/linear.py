"""The autoencoder's start: the best linear one, found in closed form and set into its weights.

Encoder: the principal components of 4 x 4 pixels. Decoder: least squares from neighbouring latents, once to 64 x 64 and
once to 128 x 128. All residual branches begin as nothing (their last convolution is zero), so what is left is convolutions,
and one group norm and SiLU before each last convolution. Those two are made harmless: a signal s goes through as the pair s
and -s, because silu(s) - silu(-s) = s; and large constants +LEVEL and -LEVEL in its group make the norm a fixed division.
"""

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

LEVEL = 20.0
LOG_VARIANCE = (
    -9.0
)  # of the posterior: latents are what the encoder says, without noise to speak of
EVEN = 0.5  # latents are divided by their deviation to this power: detail is neither lost nor as loud as colour


@torch.no_grad()
def start(vae: AutoencoderKL, pictures: Tensor) -> None:
    """Set the weights from pictures [n, 3, 128, 128] in -1..1."""
    for block in (m for m in vae.modules() if isinstance(m, ResnetBlock2D)):
        nn.init.zeros_(block.conv2.weight)
        nn.init.zeros_(block.conv2.bias)
    _set_encoder(vae, *principal(pictures, vae.config.latent_channels))
    _clear(vae.post_quant_conv, torch.eye(vae.config.latent_channels)[:, :, None, None])
    _set_decoder(vae, pictures)


def principal(pictures: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Weights [n, 48] and biases [n] of the n components of 4 x 4 pixels, scaled as latents."""
    blocks = F.pixel_unshuffle(pictures, 4).permute(0, 2, 3, 1).reshape(-1, 48).double()
    mean = blocks.mean(0)
    variance, vectors = torch.linalg.eigh(torch.cov((blocks - mean).T))
    top = vectors[:, -n:].flip(1) / variance[-n:].flip(0) ** (EVEN / 2)
    top = top * (1 / ((blocks - mean) @ top).std())
    return top.T.float(), -(mean @ top).float()


def _clear(conv: nn.Conv2d, weight: Tensor | None = None, bias: Tensor | None = None) -> None:
    """Zero the convolution, then set the given corner of it; a smaller kernel goes to the centre."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    if weight is not None:
        edge = (conv.kernel_size[0] - weight.shape[-1]) // 2
        inner = conv.weight[: weight.shape[0], : weight.shape[1]]
        inner[:, :, edge : edge + weight.shape[-2], edge : edge + weight.shape[-1]] = weight
    if bias is not None:
        conv.bias[: len(bias)] = bias


def _pairs(norm: nn.GroupNorm, signals: int, inputs: int) -> tuple[Tensor, Tensor, list[int]]:
    """Where pairs and constants go before `norm`: 1x1 weights [C, inputs, 1, 1], biases [C], channels of +s; sets the norm.

    Each group holds pairs and, in the rest of its channels, as many +LEVEL as -LEVEL.
    """
    size = norm.num_channels // norm.num_groups
    each = -(-signals // norm.num_groups)
    weight, bias = torch.zeros(norm.num_channels, inputs, 1, 1), torch.zeros(norm.num_channels)
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)
    places = []
    for signal in range(signals):
        group, turn = divmod(signal, each)
        at = group * size + 2 * turn
        weight[at, signal], weight[at + 1, signal] = 1.0, -1.0
        places.append(at)
        mine = range(group * size + 2 * each, (group + 1) * size)
        bias[[*mine][0::2]], bias[[*mine][1::2]] = LEVEL, -LEVEL
        norm.weight[at : at + 2] = LEVEL * (len(mine) / size) ** 0.5
    return weight, bias, places


def _combine(conv: nn.Conv2d, places: list[int], bias: Tensor | None = None) -> None:
    """The last convolution: each signal again from its pair."""
    weight = torch.zeros(len(places), conv.in_channels, 1, 1)
    for signal, at in enumerate(places):
        weight[signal, at], weight[signal, at + 1] = 1.0, -1.0
    _clear(conv, weight, bias)


def _set_encoder(vae: AutoencoderKL, weight: Tensor, bias: Tensor) -> None:
    encoder, n = vae.encoder, len(bias)
    first, second, third = encoder.down_blocks
    _clear(encoder.conv_in, torch.eye(3)[:, :, None, None])
    # 2 x 2 pixels side by side as channels (colour, row, column); then 2 x 2 of those
    _corner(first.downsamplers[0].conv, torch.eye(12).reshape(12, 3, 2, 2))
    _clear(second.resnets[0].conv_shortcut, torch.eye(12)[:, :, None, None])
    # [n, colour, row of 2, row of 1, column of 2, column of 1] -> [n, (colour, row of 1, column of 1), row of 2, column of 2]
    split = weight.reshape(n, 3, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 12, 2, 2)
    _corner(second.downsamplers[0].conv, split, bias)
    lift, constants, places = _pairs(encoder.conv_norm_out, n, n)
    _clear(third.resnets[0].conv_shortcut, lift, constants)
    _combine(encoder.conv_out, places, torch.tensor([0.0] * n + [LOG_VARIANCE] * n))
    _clear(vae.quant_conv, torch.eye(2 * n)[:, :, None, None])


def _corner(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None = None) -> None:
    """A strided convolution of 2 x 2 in the first corner of its 3 x 3 (diffusers pads right and below)."""
    _clear(conv, bias=bias)
    conv.weight[: weight.shape[0], : weight.shape[1], :2, :2] = weight


def _set_decoder(vae: AutoencoderKL, pictures: Tensor) -> None:
    decoder, n = vae.decoder, vae.config.latent_channels
    first, second, third = decoder.up_blocks
    latents = torch.cat([vae.encode(p).latent_dist.mean for p in pictures.split(16)])
    around = torch.eye(9 * n).reshape(9 * n, n, 3, 3)
    _clear(decoder.conv_in, around)
    near = F.unfold(latents, 3, padding=1).unflatten(-1, latents.shape[-2:])
    middle = F.pixel_unshuffle(pictures, 2)
    weight, bias = least_squares(near, middle)
    _clear(first.upsamplers[0].conv, weight, bias)
    _clear(second.resnets[0].conv_shortcut, torch.eye(12)[:, :, None, None])
    seen = torch.cat([_upsampled(x, weight, bias) for x in near.split(16)])
    weight, bias = least_squares(seen, pictures)
    _clear(second.upsamplers[0].conv, weight, bias)
    lift, constants, places = _pairs(decoder.conv_norm_out, 3, 3)
    _clear(third.resnets[0].conv_shortcut, lift, constants)
    _combine(decoder.conv_out, places)


def _upsampled(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(F.interpolate(x, scale_factor=2.0), weight, bias, padding=1)


def least_squares(x: Tensor, y: Tensor, ridge: float = 1e-4) -> tuple[Tensor, Tensor]:
    """The 3 x 3 convolution after doubling x [n, c, h, w] that comes nearest to y [n, d, 2h, 2w]: [d, c, 3, 3] and [d]."""
    c, d = x.shape[1], y.shape[1]
    moment = torch.zeros(9 * c + 1, 9 * c + 1, dtype=torch.float64)
    cross = torch.zeros(9 * c + 1, d, dtype=torch.float64)
    for xs, ys in zip(x.split(4), y.split(4), strict=True):
        seen = (
            F.unfold(F.interpolate(xs, scale_factor=2.0), 3, padding=1)
            .transpose(1, 2)
            .flatten(0, 1)
        )
        seen = torch.cat([seen, torch.ones(len(seen), 1)], 1)
        moment += (seen.T @ seen).double()
        cross += (seen.T @ ys.flatten(2).transpose(1, 2).flatten(0, 1)).double()
    damping = ridge * moment.diagonal().mean() * torch.eye(len(moment), dtype=torch.float64)
    found = torch.linalg.solve(moment + damping, cross).float()
    return found[:-1].T.reshape(d, c, 3, 3), found[-1]
