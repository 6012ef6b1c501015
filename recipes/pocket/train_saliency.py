"""Stage 10, `saliency`: a small network learns to tell the subject of some photos from everything else in them.

    python -m recipes.pocket.train_saliency --work WORK --minutes 48 [--batch 16]

It sees one, two or four photos of a subject at a time, put together anew for every step by `recipes.pocket.studio`, and has to find the
cut-out's alpha. Not part of the base: `lfsd/saliency.py` uses it on photos for any base.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lfsd.device import pick_dtype
from lfsd.saliency_net import SaliencyNet
from recipes.pocket.arguments import parse
from recipes.pocket.muon import Muon
from recipes.pocket.studio import Studio
from recipes.pocket.training import Stage, load_into
from recipes.pocket.world import World, photo_crops

PHOTOS = (1, 2, 4)
"""How many photos of one subject the network sees at a time, in turns."""


def mask_losses(logits: Tensor, alpha: Tensor) -> dict[str, Tensor]:
    """Of logits and alphas [B,1,h,w]: cross-entropy, and the soft intersection over union, means over the batch."""
    chance = logits.sigmoid()
    both = (chance * alpha).sum((1, 2, 3))
    either = (chance + alpha - chance * alpha).sum((1, 2, 3))
    entropy = F.binary_cross_entropy_with_logits(logits, alpha)
    overlap = (both / either.clamp(min=1)).mean()
    return {"loss": entropy + 0.5 * (1 - overlap), "entropy": entropy, "overlap": overlap}


def main() -> None:
    args = parse(__doc__, batch=16)
    dtype = pick_dtype(torch.device("cpu"))
    net = SaliencyNet().to(memory_format=torch.channels_last)
    load_into(net, args.work / "checkpoints/saliency.safetensors")
    world = World(args.work / "world", "cpu", args.per_scene, 3 + args.seed, args.workers)
    crops = photo_crops(world.photographs, args.photo_crops, args.seed)
    photographed = torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()
    studio = Studio(world, world.backgrounds, photographed)
    matrices = [p for n, p in net.named_parameters() if p.ndim > 1 and not n.startswith("out.")]
    taken = set(map(id, matrices))
    rest = [p for p in net.parameters() if id(p) not in taken]
    optimisers = (
        Muon(matrices),
        torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=0.01, fused=True),
    )
    stage = Stage(
        "saliency",
        args,
        optimisers,
        {"saliency": net},
        rate=args.rate or 2e-3,
        warmup=50,
        decay=0.995,
    )

    def losses(step: int) -> dict[str, Tensor]:
        photos = PHOTOS[step % len(PHOTOS)]
        picture, alpha = studio.pictures(args.batch, photos)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = net(picture.contiguous(memory_format=torch.channels_last), photos)
        return mask_losses(logits.float(), F.avg_pool2d(alpha, 2))

    stage.run(losses)


if __name__ == "__main__":
    main()
