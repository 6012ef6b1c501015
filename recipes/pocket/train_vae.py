"""Stage 3, `vae`: the autoencoder, on composites and on crops of real photographs.

    python -m recipes.pocket.train_vae --work WORK --minutes 5 [--device cuda] [--batch 128]

Continues from WORK/checkpoints/vae.safetensors when it exists. `--decoder` trains the decoder alone: latents, and so a
diffusion model already trained on them, stay as they are.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket import models
from recipes.pocket.arguments import parse
from recipes.pocket.training import Stage, load_into
from recipes.pocket.world import SIZE, World, photo_crops

KL = 5e-4  # on means per element: keeps the latents near unit variance and smooth to diffuse


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


def loss_of(vae: torch.nn.Module, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction (L1, L2 and fine detail) plus KL; picture [B, 3, H, W] in -1..1. Returns loss, mse."""
    posterior = vae.encode(picture).latent_dist
    out = vae.decode(posterior.sample()).sample.float()
    mse = F.mse_loss(out, picture)
    detail = F.l1_loss(_laplacian(out), _laplacian(picture))
    kl = (
        0.5
        * (
            posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()
        ).mean()
    )
    return F.l1_loss(out, picture) + 2 * mse + 0.5 * detail + KL * kl, mse


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
    vae = models.vae().to(device, memory_format=torch.channels_last)
    resumed = load_into(vae, checkpoint)
    if args.decoder:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    optimiser = torch.optim.AdamW(
        vae.parameters(), betas=(0.9, 0.99), weight_decay=1e-4, fused=True
    )
    stage = Stage("vae", args, optimiser, {"vae": vae}, rate=args.rate or 6e-4)
    stage.log(resumed=int(resumed), parameters=sum(p.numel() for p in vae.parameters()))
    generator = torch.Generator(device).manual_seed(args.seed)

    def losses(step: int) -> dict[str, Tensor]:
        index = torch.randint(len(rows), (args.batch * 5 // 8,)).numpy()
        composed = world.compose(rows, index, generator, wild=step % 2 == 0)
        photos = _photo_batch(crops, args.batch - len(index), generator)
        batch = torch.cat([composed, photos]) * 2 - 1
        if device == "cpu":
            # four times the pictures for the same work: group norm's backward is the bottleneck
            x, y = torch.randint(SIZE - 64 + 1, (2,), generator=generator).tolist()
            batch = batch[:, :, y : y + 64, x : x + 64]
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss, mse = loss_of(vae, batch.contiguous(memory_format=torch.channels_last))
        return {"loss": loss, "psnr": -10 * torch.log10(mse / 4)}

    stage.run(losses)


if __name__ == "__main__":
    main()
