"""Stage 5, `unet`: the diffusion model and, at a lower rate, its text encoder (begun from the judge's text tower).

    python -m recipes.pocket.train_unet --work WORK --minutes 20 [--device cuda] [--batch 512] [--compile]

Pictures are encoded once and kept as latents. Continues from WORK/checkpoints/{unet,text}.safetensors.
"""

import hashlib
import json
from argparse import Namespace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from recipes.pocket import models
from recipes.pocket.arguments import parse
from recipes.pocket.early import SUBJECTS as EARLY_SUBJECTS
from recipes.pocket.muon import Muon
from recipes.pocket.train_judge import token_ids
from recipes.pocket.training import Stage, load_into, save_state, share
from recipes.pocket.world import World

ENDS = ("conv_in", "conv_out")  # AdamW's, as everything that is no matrix
DROP = 0.1  # prompts left empty, for classifier-free guidance


def examples(args: Namespace, tokenizer: CLIPTokenizer, vae: torch.nn.Module) -> dict[str, Tensor]:
    """Composites as "latents" [n, 5, 32, 32], their subjects' "cover" [n, 1, 32, 32] and captions' "ids" [n, 24].

    Made once and kept in WORK/examples, for each process its own.
    """
    weights = hashlib.sha256((args.work / "checkpoints/vae.safetensors").read_bytes()).hexdigest()
    asked = f"{args.rows}-{args.latents}-{args.per_scene}-{args.play}-{args.whole}-{args.seed}"
    shown = hashlib.sha256(json.dumps([EARLY_SUBJECTS, args.more]).encode()).hexdigest()
    named = f"4-{weights[:8]}-{asked}-{shown[:8]}"
    kept = args.work / "examples" / f"{named}.safetensors"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        save_file(_made(args, tokenizer, vae), kept.with_suffix(".partial"))
        kept.with_suffix(".partial").replace(kept)
    return load_file(kept, device=args.device)


@torch.no_grad()
def _made(
    args: Namespace, tokenizer: CLIPTokenizer, vae: torch.nn.Module, batch: int = 200
) -> dict[str, Tensor]:
    device, seed = args.device, args.seed
    world = World(
        args.work / "world",
        device,
        args.per_scene,
        seed=2 + seed,
        workers=args.workers,
        early=not args.whole,
    )
    rows = world.rows(
        args.rows, 4 + seed, pairs=0.08 * args.play, tints=0.12 * args.play, more=args.more
    )
    generator = torch.Generator(device).manual_seed(2 + seed)
    parts, covers = [], []
    for start in range(0, args.latents, batch):
        index = torch.arange(start, min(args.latents, start + batch)).remainder(len(rows)).numpy()
        picture, cover = world.drawn(rows, index, generator, play=args.play)
        picture = picture * 2 - 1
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            encoded = vae.encode(picture.contiguous(memory_format=torch.channels_last))
        parts.append(encoded.latent_dist.mean.to("cpu", torch.bfloat16).contiguous())
        covers.append(F.avg_pool2d(cover, 4).mul(255).byte().cpu())
    latents = torch.cat(parts)
    captions = [rows.captions[i % len(rows)] for i in range(len(latents))]
    return {
        "latents": latents,
        "cover": torch.cat(covers),
        "ids": token_ids(tokenizer, captions),
    }


def text_from_judge(text: CLIPTextModel, path: Path) -> bool:
    """Start the text encoder from the judge's text tower."""
    if not path.exists():
        return False
    state = {
        k.removeprefix("text_model."): v.float()
        for k, v in load_file(path).items()
        if k.startswith("text_model.")
    }
    prefix = "text_model." if any(k.startswith("text_model.") for k in text.state_dict()) else ""
    text.load_state_dict(
        {prefix + k: v for k, v in state.items() if not k.endswith("position_ids")}, strict=True
    )
    return True


def main() -> None:
    args = parse(__doc__, batch=512)
    device, folder = args.device, args.work / "checkpoints"
    tokenizer = CLIPTokenizer.from_pretrained(args.work / "pocket/tokenizer")
    empty = token_ids(tokenizer, [""]).to(device)
    vae = models.vae().to(device, memory_format=torch.channels_last).eval()
    if not load_into(vae, folder / "vae.safetensors"):
        raise SystemExit("train the autoencoder first: python -m recipes.pocket.train_vae")
    found = examples(args, tokenizer, vae)
    latents, ids, cover = found["latents"], found["ids"], found["cover"]
    scale = 1 / latents[:20000].float().std()
    share([scale])
    latents *= scale.to(latents.dtype)
    save_state({"scaling_factor": scale.cpu().float()}, folder / "scale.safetensors")
    text, unet = (
        models.text_encoder(tokenizer).to(device),
        models.unet().to(device, memory_format=torch.channels_last),
    )
    known = load_into(text, folder / "text.safetensors") or (
        args.whole and text_from_judge(text, folder / "judge.safetensors")
    )
    resumed = load_into(unet, folder / "unet.safetensors")
    matrices = [p for n, p in unet.named_parameters() if p.ndim > 1 and n.split(".")[0] not in ENDS]
    taken = set(map(id, matrices))
    others = [p for p in unet.parameters() if id(p) not in taken]
    optimisers = (
        Muon(matrices),
        torch.optim.AdamW(
            [
                {"params": others, "scale": 1.0},
                {"params": text.parameters(), "scale": 0.25 if known else 1.0},
            ],
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        ),
    )
    kept = {"unet": unet, "text": text}
    stage = Stage(
        "unet", args, optimisers, kept, rate=args.rate or 6e-4, warmup=50 if resumed else 500
    )
    stage.log(
        resumed=int(resumed),
        parameters=sum(p.numel() for p in unet.parameters()),
        scale=float(scale),
    )
    alphas = models.scheduler().alphas_cumprod.to(device)
    predict = torch.compile(unet) if args.compile else unet

    def losses(step: int) -> dict[str, Tensor]:
        pick = torch.randint(len(latents), (args.batch,), device=device)
        clean = latents[pick].float()
        tokens = torch.where(torch.rand(args.batch, 1, device=device) < DROP, empty, ids[pick])
        t = timesteps(args.batch, len(alphas), device)
        a, noise = alphas[t].view(-1, 1, 1, 1), torch.randn_like(clean)
        noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
        v = a.sqrt() * noise - (1 - a).sqrt() * clean
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            states = text(input_ids=tokens).last_hidden_state
            out = predict(noisy.contiguous(memory_format=torch.channels_last), t, states).sample
        error = (out.float() - v).square()
        weight = 1 + args.subject_weight * cover[pick].float() / 255
        return {"loss": (weight * error).mean() / weight.mean(), "plain": error.mean()}

    stage.run(losses)


def timesteps(n: int, total: int, device: str) -> Tensor:
    """Half of them where shapes are decided, the others anywhere."""
    spread = torch.rand(n, device=device)
    shapes = torch.rand(n, device=device) < 0.5
    return (torch.where(shapes, 0.4 + 0.5 * spread, spread) * total).long()


if __name__ == "__main__":
    main()
