"""Stage 6, `context`: the diffusion model learns to draw a subject from a picture of it.

    python -m recipes.pocket.train_context --work WORK --minutes 60 [--batch 16]

In-context generation (arXiv 2411.05544, abstract) hands the UNet stored pictures of a subject through its self-attention. A
large base does something with them untaught; a small one has to be shown. It learns from *strangers*: any subject of the whole world,
some dyed, under a word that means something else each time, so that what it looks like can only come from the one or two other
composites of it that the target sees in self-attention, weighted by where they show it, as `lfsd.attention` feeds them. The other
half of every batch is ordinary rows of the early world, without contexts: what the model draws by itself goes on growing. A quarter of
all captions names no scene, which the stages before this one never show.

The text encoder stays as it is. Continues from WORK/checkpoints/unet.safetensors.
"""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTokenizer

from lfsd.attention import AttentionControl, LfsdAttention, attention
from lfsd.device import pick_dtype
from recipes.pocket import models
from recipes.pocket.arguments import parse
from recipes.pocket.muon import Muon
from recipes.pocket.scenes import COLOURS
from recipes.pocket.train_judge import token_ids
from recipes.pocket.train_unet import DROP, ENDS, timesteps
from recipes.pocket.training import Stage, load_into
from recipes.pocket.world import STYLES, World, article

VIEWS = 4
"""Composites of each stranger."""

STRANGE = 0.45
"""Share of a batch's rows that are strangers and their contexts."""

BARE = 0.25
"""Share of captions that name no scene, so that "a photo of a cat" is a cat."""

ORDINARY_PLAY = 0.2
"""How much ordinary rows vary in size, place and side: as in the runs that the model comes from (`--play` is for strangers)."""

FAINT = 1e-4
"""Weight of a place that a context does not show: as good as hidden, and its logarithm finite."""


@dataclass
class Composites:
    """Composites on the device: `latents` [n,5,32,32], `cover` [n,1,32,32] in 0..255, captions' `ids` [n,24]."""

    latents: Tensor
    cover: Tensor
    ids: Tensor


@dataclass
class Views(Composites):
    """Composites of which those of one `label` [n] show the same subject."""

    label: np.ndarray

    def __post_init__(self) -> None:
        order = np.argsort(self.label, kind="stable")
        _, first = np.unique(self.label[order], return_index=True)
        self.groups = [g for g in np.split(order, first[1:]) if len(g) > 2]

    def draw(self, rng: np.random.Generator, n: int, contexts: int) -> np.ndarray:
        """Indices [n, 1 + contexts]: a target and other views of its subject."""
        chosen = rng.integers(0, len(self.groups), n)
        return np.stack([rng.choice(self.groups[g], 1 + contexts, replace=False) for g in chosen])


class ContextAttention(LfsdAttention):
    """Self-attention of a batch of [targets n | contexts n*K | others]: each target also sees its own contexts.

    `logits` (in `shared`) maps a number of tokens to the log-weights [n,1,1,K*tokens] of the contexts.
    """

    def __init__(self, layer: str, shared: dict[int, Tensor]) -> None:
        super().__init__(layer)
        self.shared = shared

    def _mix(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        cross: bool,
        control: AttentionControl | None,
    ) -> Tensor:
        if cross or not self.shared:
            return attention(query, key, value, bias)
        logits = self.shared[key.shape[2]]
        n = len(logits)
        shown = slice(n, n + n * logits.shape[-1] // key.shape[2])
        seen = attention(
            query[:n],
            torch.cat([key[:n], _beside(key[shown], n)], 2),
            torch.cat([value[:n], _beside(value[shown], n)], 2),
            torch.cat([logits.new_zeros(n, 1, 1, key.shape[2]), logits], -1),
        )
        return torch.cat([seen, attention(query[n:], key[n:], value[n:])])


def _beside(contexts: Tensor, n: int) -> Tensor:
    """[n*K,H,N,d] -> [n,H,K*N,d]: the contexts of each target one after another."""
    return contexts.unflatten(0, (n, -1)).transpose(1, 2).flatten(2, 3)


def context_logits(cover: Tensor) -> dict[int, Tensor]:
    """Log-weights for every level with attention, from covers [n,K,32,32]: {tokens: [n,1,1,K*tokens]}."""
    weight = (cover / cover.shape[1]).flatten(0, 1)[:, None]
    levels = {s * s: F.adaptive_avg_pool2d(weight, s) for s in (16, 8, 4)}
    n = len(cover)
    return {
        tokens: level.clamp_min(FAINT).log().reshape(n, 1, 1, -1)
        for tokens, level in levels.items()
    }


def imprecise(cover: Tensor) -> Tensor:
    """Covers [n,K,32,32] as masks are in life: most of them right, some too wide, some that hide nothing."""
    wide = F.max_pool2d(cover, 5, stride=1, padding=2)
    kind = torch.rand(len(cover), 1, 1, 1, device=cover.device)
    return torch.where(kind < 0.6, cover, torch.where(kind < 0.8, wide, torch.ones_like(cover)))


@torch.no_grad()
def encoded(
    world: World,
    rows: Any,
    args: Namespace,
    vae: torch.nn.Module,
    play: float,
    batch: int = 200,
) -> tuple[Tensor, Tensor]:
    """Latents [n,5,32,32] in bfloat16 and covers [n,1,32,32] in 0..255 of all rows."""
    generator = torch.Generator(args.device).manual_seed(5 + args.seed)
    latents, covers = [], []
    for start in range(0, len(rows), batch):
        index = np.arange(start, min(len(rows), start + batch))
        picture, cover = world.drawn(rows, index, generator, play=play)
        latents.append(vae.encode(picture * 2 - 1).latent_dist.mean.bfloat16())
        covers.append(F.avg_pool2d(cover, 4).mul(255).byte())
    return torch.cat(latents), torch.cat(covers)


def ordinary(
    args: Namespace, world: World, tokenizer: CLIPTokenizer, vae: torch.nn.Module
) -> Composites:
    """Subjects of the early world, with their captions."""
    rows = world.rows(
        args.latents, 4 + args.seed, pairs=0.04, tints=0.12, more=args.more, bare=BARE
    )
    latents, cover = encoded(world, rows, args, vae, ORDINARY_PLAY)
    return Composites(latents, cover, token_ids(tokenizer, rows.captions).to(args.device))


def strangers(
    args: Namespace, world: World, tokenizer: CLIPTokenizer, vae: torch.nn.Module
) -> tuple[Views, Tensor]:
    """Any subject, as it is and dyed, under a word of no meaning; also the captions [n,24] they have as contexts."""
    rng = np.random.default_rng(6 + args.seed)
    pool = np.array([i for i, s in enumerate(world.subjects) if not s.held_out])
    label = np.repeat(np.arange(2 * len(pool)), VIEWS)
    rows = world.rows(len(label), 7 + args.seed, pairs=0.0, tints=0.0, bare=BARE)
    rows.subject = np.tile(pool, 2)[label]
    dye = np.concatenate([np.full(len(pool), -1), rng.integers(0, len(COLOURS), len(pool))])
    rows.tint = dye[label]
    latents, cover = encoded(world, rows, args, vae, args.play)
    words = [
        w
        for w in (tokenizer.convert_ids_to_tokens(range(600, len(tokenizer))))
        if w[:-4].isalpha() and w.endswith("</w>")
    ]
    alone, placed = [], []
    for stranger in np.split(np.arange(len(label)), 2 * len(pool)):
        subject = world.subjects[rows.subject[stranger[0]]]
        word = rng.choice(words).removesuffix("</w>")
        name = f"{word} {subject.noun}" if rng.random() < 0.5 else word
        forms = STYLES["photo"]
        for i in stranger:
            form = forms[rng.integers(len(forms))]
            placed.append(f"{form.format(article(name))} {rows.scene_text[i]}".rstrip())
            alone.append(f"a photo of {article(name)}")
    ids = token_ids(tokenizer, placed).to(args.device)
    return Views(latents, cover, ids, label), token_ids(tokenizer, alone).to(args.device)


def main() -> None:
    args = parse(__doc__, batch=16)
    device, folder = args.device, args.work / "checkpoints"
    dtype = pick_dtype(torch.device(device))
    tokenizer = CLIPTokenizer.from_pretrained(args.work / "pocket/tokenizer")
    vae, text = models.vae().to(device).eval(), models.text_encoder(tokenizer).to(device).eval()
    unet = models.unet().to(device, memory_format=torch.channels_last)
    for module, name in ((vae, "vae"), (text, "text"), (unet, "unet")):
        if not load_into(module, folder / f"{name}.safetensors"):
            raise SystemExit(f"no checkpoint of {name} in {folder}: train it first")
    scale = float(load_file(folder / "scale.safetensors")["scaling_factor"])
    shared: dict[int, Tensor] = {}
    unet.set_attn_processor(
        {n: ContextAttention(n.removesuffix(".processor"), shared) for n in unet.attn_processors}
    )
    world = World(
        args.work / "world", device, args.per_scene, 2 + args.seed, args.workers, early=True
    )
    early = ordinary(args, world, tokenizer, vae)
    others, alone = strangers(args, world, tokenizer, vae)
    empty = token_ids(tokenizer, [""]).to(device)
    alphas = models.scheduler().alphas_cumprod.to(device)
    matrices = [p for n, p in unet.named_parameters() if p.ndim > 1 and n.split(".")[0] not in ENDS]
    taken = set(map(id, matrices))
    rest = [p for p in unet.parameters() if id(p) not in taken]
    optimisers = (
        Muon(matrices),
        torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=0.01, fused=True),
    )
    stage = Stage("context", args, optimisers, {"unet": unet}, rate=args.rate or 6e-4, warmup=50)
    stage.log(ordinary=len(early.ids), strangers=len(others.groups))
    rng = np.random.default_rng(args.seed)

    def losses(step: int) -> dict[str, Tensor]:
        contexts = 2 if step % 3 == 2 else 1
        n = round(STRANGE * args.batch / (1 + contexts))
        theirs = others.draw(rng, n, contexts)
        mine = rng.integers(0, len(early.ids), args.batch - n * (1 + contexts))
        clean = joined(others.latents, theirs, early.latents, mine).float() * scale
        cover = joined(others.cover, theirs, early.cover, mine).float() / 255
        ids = torch.cat([others.ids[theirs[:, 0]], alone[theirs[:, 1:].ravel()], early.ids[mine]])
        shown = slice(n, n * (1 + contexts))
        dropped = torch.rand(len(clean), 1, device=device) < DROP
        dropped[shown] = False
        ids = torch.where(dropped, empty, ids)
        t = timesteps(len(clean), len(alphas), device)
        noise = torch.randn_like(clean)
        # contexts are noised as their target is, and one noise serves all of them, as generation has it
        t[shown] = t[:n].repeat_interleave(contexts)
        noise[shown] = noise[shown][::contexts].repeat_interleave(contexts, 0)
        a = alphas[t].view(-1, 1, 1, 1)
        noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
        v = a.sqrt() * noise - (1 - a).sqrt() * clean
        shared.clear()
        shared.update(
            context_logits(imprecise(cover[shown].reshape(n, contexts, *cover.shape[2:])))
        )
        with torch.no_grad():
            states = text(input_ids=ids).last_hidden_state
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            out = unet(noisy.contiguous(memory_format=torch.channels_last), t, states).sample
        error = (out.float() - v).square()
        weight = 1 + args.subject_weight * cover
        each = (weight * error).mean((1, 2, 3)) / weight.mean((1, 2, 3))
        target, unseen, plain = each.split([n, n * contexts, len(mine)])
        return {
            "loss": torch.cat([target, plain]).mean(),
            "strange": target.mean(),
            "strange_unseen": unseen.mean(),
            "plain": plain.mean(),
        }

    stage.run(losses)


def joined(others: Tensor, theirs: np.ndarray, early: Tensor, mine: np.ndarray) -> Tensor:
    """Rows as the UNet sees them: strangers [n], then the contexts of each in turn [n*K], then ordinary rows."""
    return torch.cat([others[theirs[:, 0]], others[theirs[:, 1:].ravel()], early[mine]])


if __name__ == "__main__":
    main()
