"""The autoencoder's closed-form start: latents are the principal components, pictures come back."""

import torch
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket import linear, models
from recipes.pocket.train_vae import loss_of


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


def test_the_decoder_learns_from_noisy_latents_and_the_encoder_stays() -> None:
    vae = models.vae()
    linear.start(vae, pictures(12, 1))
    seen = pictures(2, 3)[:, :, :64, :64]

    def losses(noise: float, seed: int) -> tuple[Tensor, Tensor]:
        return loss_of(vae, seen, noise, torch.Generator().manual_seed(seed))

    assert torch.equal(losses(0.0, 1)[1], losses(0.0, 2)[1])
    assert losses(0.5, 1)[1] > 1.5 * losses(0.0, 1)[1]
    losses(0.5, 1)[0].backward()
    assert all(p.grad is None for p in vae.encoder.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in vae.decoder.parameters())
