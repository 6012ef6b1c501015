"""The autoencoder's closed-form start: latents are the principal components, pictures come back."""

import torch
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket import linear, models


def pictures(n: int, seed: int) -> Tensor:
    """Coloured shapes with soft edges, [n, 3, 128, 128] in -1..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(n, 3, 16, 16, generator=generator)
    smooth = F.interpolate(coarse, size=128, mode="bicubic", align_corners=False)
    edges = (smooth[:, :1] > smooth[:, 1:2]).float()
    return (0.4 * smooth + 0.6 * edges - 0.3).clamp(-1, 1)


@torch.no_grad()
def test_latents_are_the_components_and_pictures_come_back() -> None:
    seen, unseen = pictures(24, 1), pictures(8, 2)
    vae = models.vae().eval()
    before = vae.decode(vae.encode(unseen).latent_dist.mean).sample
    linear.start(vae, seen)
    weight, bias = linear.principal(seen, models.LATENTS)
    expected = torch.einsum("nchw,kc->nkhw", F.pixel_unshuffle(unseen, 4), weight)
    posterior = vae.encode(unseen).latent_dist
    assert torch.allclose(posterior.mean, expected + bias[:, None, None], atol=0.03)
    assert posterior.std.max() < 0.02
    assert abs(float(expected.std()) - 1) < 0.2

    def psnr(picture: Tensor) -> float:
        return float(-10 * torch.log10(((picture - unseen) / 2).square().mean()))

    nearest = F.interpolate(F.avg_pool2d(unseen, 4), scale_factor=4.0)
    after = psnr(vae.decode(posterior.mean).sample)
    assert after > psnr(nearest) + 3
    assert after > psnr(before) + 10
