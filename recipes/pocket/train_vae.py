"""Stage 3, `vae`: the autoencoder, on composites and on crops of real photographs.

    python -m recipes.pocket.train_vae --work WORK --minutes 5 [--device cuda] [--batch 128]

Begins as the best linear autoencoder (linear.py); its encoder stays so, which keeps latents, and so a diffusion model trained on
them, as they are however long the decoder is trained. Continues from WORK/checkpoints/vae.safetensors when it exists;
`--limit 0` writes the start alone.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket import linear, models
from recipes.pocket.arguments import parse
from recipes.pocket.training import Stage, load_into
from recipes.pocket.world import SIZE, World, photo_crops

START = 600  # pictures the linear start is found from


def _photo_batch(crops: Tensor, n: int, generator: torch.Generator) -> Tensor:
    pick = torch.randint(len(crops), (n,), generator=generator, device=crops.device)
    x, y = (
        int(
            torch.randint(
                crops.shape[-1] - SIZE + 1, (1,), generator=generator, device=crops.device
            )
        )
        for _ in range(2)
    )
    batch = crops[pick][:, :, y : y + SIZE, x : x + SIZE].float() / 255
    return (
        batch.flip(-1) if torch.rand((), generator=generator, device=crops.device) < 0.5 else batch
    )


def _laplacian(x: Tensor) -> Tensor:
    return x - F.interpolate(
        F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear", align_corners=False
    )


def loss_of(
    vae: torch.nn.Module, picture: Tensor, noise: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Reconstruction (L1, L2 and fine detail) of picture [B, 3, H, W] in -1..1. Returns loss, mse.

    Latents are decoded with up to `noise` deviations of noise: those that a diffusion model draws are not clean either, and
    a decoder that has only seen clean ones shows every error as grain.
    """
    with torch.no_grad():
        latents = vae.encode(picture).latent_dist.mean
        much = noise * torch.rand(len(latents), 1, 1, 1, generator=generator, device=latents.device)
        drawn = torch.randn(latents.shape, generator=generator, device=latents.device)
        latents = latents + much * latents.std() * drawn
    out = vae.decode(latents).sample.float()
    mse = F.mse_loss(out, picture)
    detail = F.l1_loss(_laplacian(out), _laplacian(picture))
    return F.l1_loss(out, picture) + 2 * mse + 0.5 * detail, mse


def main() -> None:
    args = parse(__doc__, batch=128)
    device, checkpoint = args.device, args.work / "checkpoints/vae.safetensors"
    world = World(
        args.work / "world", device, args.per_scene, workers=args.workers, early=not args.whole
    )
    rows = world.rows(args.rows, seed=1)
    crops = (
        torch.from_numpy(photo_crops(world.photographs, args.photo_crops, 0))
        .permute(0, 3, 1, 2)
        .contiguous()
        .to(device)
    )

    def pictures(n: int, generator: torch.Generator, *, wild: bool) -> Tensor:
        near = torch.randint(len(rows), (n * 5 // 8,), generator=generator, device=device)
        composed = world.compose(rows, near.cpu().numpy(), generator, wild=wild)
        return torch.cat([composed, _photo_batch(crops, n - len(near), generator)]) * 2 - 1

    vae = models.vae()
    resumed = load_into(vae, checkpoint)
    if not resumed:
        same = torch.Generator(device).manual_seed(0)  # in every process
        seen = [pictures(30, same, wild=False) for _ in range(START // 30)]
        linear.start(vae, torch.cat(seen).cpu())
    vae.to(device, memory_format=torch.channels_last)
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(False)
    optimiser = torch.optim.AdamW(
        [p for p in vae.parameters() if p.requires_grad],
        betas=(0.9, 0.99),
        weight_decay=1e-4,
        fused=True,
    )
    stage = Stage("vae", args, (optimiser,), {"vae": vae}, rate=args.rate or 6e-4)
    stage.log(resumed=int(resumed), parameters=sum(p.numel() for p in vae.parameters()))
    generator = torch.Generator(device).manual_seed(args.seed)

    def losses(step: int) -> dict[str, Tensor]:
        batch = pictures(args.batch, generator, wild=step % 2 == 0)
        if device == "cpu":
            # four times the pictures for the same work: group norm's backward is the bottleneck
            x, y = torch.randint(SIZE - 64 + 1, (2,), generator=generator).tolist()
            batch = batch[:, :, y : y + 64, x : x + 64]
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss, mse = loss_of(
                vae, batch.contiguous(memory_format=torch.channels_last), args.noise, generator
            )
        return {"loss": loss, "psnr": -10 * torch.log10(mse / 4)}

    stage.run(losses)


if __name__ == "__main__":
    main()
