"""Stage 4, `judge`: a CLIP pair whose image embedding has two halves, the subject's and the scene's.

    python -m recipes.pocket.train_judge --work WORK --minutes 5 [--device cuda] [--batch 768] [--patches 0.5]

Half of the space is trained to know one subject again in another scene, pose and light (every subject has a learned
proxy that its pictures must be nearest to, among the proxies of all subjects); the other half to know the scene. The whole is contrasted with whole
captions, so it remains an ordinary CLIPModel. Its text tower becomes the start of the diffusion model's text encoder.
With --patches 0.5 it sees a random half of each picture's patches, and twice as many pictures in the same time (FLIP, arXiv
2212.00794); in the last quarter of the time they are whole again.
"""

import re

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTokenizer

from recipes.pocket import models
from recipes.pocket.arguments import parse
from recipes.pocket.muon import Muon
from recipes.pocket.scenes import SCENES
from recipes.pocket.tokenizer import LENGTH
from recipes.pocket.training import Stage, load_into, share
from recipes.pocket.world import Rows, World

HALF = models.PROJECTION // 2
TEXT_EVERY = 2  # steps: captions cost as much as pictures, and have far less to tell
TEXT_LOSSES = ("caption", "words")


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """[n, 32] padded ids."""
    return tokenizer(
        texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    ).input_ids


def embed(features: object) -> Tensor:
    """transformers 5 wraps the projected features; older versions return them bare."""
    return features.pooler_output if hasattr(features, "pooler_output") else features  # type: ignore[return-value]


def halves(embedding: Tensor) -> tuple[Tensor, Tensor]:
    return F.normalize(embedding[:, :HALF], dim=-1), F.normalize(embedding[:, HALF:], dim=-1)


def multi_positive(logits: Tensor, positive: Tensor) -> Tensor:
    """Cross-entropy with several right answers per row: -log of the probability they share, averaged."""
    log_p = logits.log_softmax(-1)
    return -(log_p * positive).sum(-1).div(positive.sum(-1).clamp(min=1)).mean()


class Contrast:
    """The four losses of one step."""

    def __init__(
        self, model: torch.nn.Module, phrases: Tensor, phrase_scene: Tensor, subjects: int
    ) -> None:
        self.model, self.phrases, self.phrase_scene = model, phrases, phrase_scene
        self.scenes = int(phrase_scene.max()) + 1
        self.scale = torch.nn.Parameter(torch.full((4,), 2.6, device=phrases.device))
        self.proxies = torch.nn.Parameter(torch.randn(subjects, HALF, device=phrases.device) * 0.1)

    @torch.no_grad()
    def know(self, bank: Tensor, subject: Tensor) -> None:
        """Start every subject's proxy where the model sees it: at the mean of its pictures [n, 3, 128, 128] uint8."""
        seen = [
            halves(embed(self.model.get_image_features(pixel_values=p / 127.5 - 1)))[0]
            for p in bank.split(250)
        ]
        total = torch.zeros_like(self.proxies).index_add(0, subject, torch.cat(seen))
        share([total])
        shown = total.norm(dim=-1, keepdim=True) > 0
        self.proxies.copy_(torch.where(shown, F.normalize(total, dim=-1), self.proxies))

    def pictures(
        self, picture: Tensor, where: Tensor, scene: Tensor, subject: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Image embeddings, and what they are told by proxies and by the scene phrases' embeddings."""
        image = embed(self.model.get_image_features(pixel_values=picture))
        mine, place = halves(image)
        scale = self.scale.exp().clamp(max=60)
        known = scale[2] * mine @ F.normalize(self.proxies, dim=-1).T
        scenes = (scale[3] * place @ halves(where)[1].T).float().softmax(-1)
        per_scene = torch.zeros(len(picture), self.scenes, device=mine.device).index_add(
            1, self.phrase_scene, scenes
        )
        return image, {
            "subject": F.cross_entropy(known.float(), subject),
            "scene": F.nll_loss(per_scene.clamp(min=1e-6).log(), scene),
        }

    def __call__(
        self, picture: Tensor, caption: Tensor, words: Tensor, scene: Tensor, subject: Tensor
    ) -> dict[str, Tensor]:
        b = len(picture)
        text = embed(
            self.model.get_text_features(input_ids=torch.cat([caption, words, self.phrases]))
        )
        whole, what, where = text[:b], text[b : 2 * b], text[2 * b :]
        self.where = where.detach()
        image, losses = self.pictures(picture, where, scene, subject)
        scale, mine = self.scale.exp().clamp(max=60), halves(image)[0]
        same_caption = (caption[:, None] == caption[None]).all(-1).float()
        same_words = (words[:, None] == words[None]).all(-1).float()
        logits = scale[0] * F.normalize(image, dim=-1) @ F.normalize(whole, dim=-1).T
        # a row that shows the same subject under another name is neither a right nor a wrong answer
        unfair = (subject[:, None] == subject[None]) & (same_words == 0)
        # what a caption calls its subject must be heard alone and within the whole caption
        named, heard = (
            multi_positive(
                (scale[1] * mine @ halves(text)[0].T).masked_fill(unfair, -1e4), same_words
            )
            for text in (what, whole)
        )
        return losses | {
            "caption": multi_positive(logits, same_caption)
            + multi_positive(logits.T, same_caption),
            "words": named + heard,
        }


def _bank(world: World, rows: Rows, n: int, generator: torch.Generator) -> Tensor:
    """n wild composites, [n, 3, 128, 128] uint8: composing costs a CPU as much as a training step."""
    parts = [
        world.compose(rows, np.arange(i, min(n, i + 250)), generator, wild=True).mul(255).byte()
        for i in range(0, n, 250)
    ]
    return torch.cat(parts)


def _optimisers(model: torch.nn.Module, contrast: Contrast) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the transformers' matrices; AdamW for their ends, for vectors and for what is learned beside them."""
    named = dict(model.named_parameters())
    matrices = {
        n: p for n, p in named.items() if p.ndim > 1 and not re.search("embedding|projection", n)
    }
    others = [p for n, p in named.items() if n not in matrices]
    return (
        Muon(matrices.values()),
        torch.optim.AdamW(
            [
                {"params": [*others, contrast.scale], "scale": 1.0},
                {"params": [contrast.proxies], "scale": 10.0},
            ],
            betas=(0.9, 0.98),
            weight_decay=0.02,
            fused=True,
        ),
    )


class SomePatches:
    """A forward hook on the embeddings: the class token and a random share of the patches go on."""

    share = 1.0

    def __call__(self, module: torch.nn.Module, given: object, states: Tensor) -> Tensor:
        """[b, 1 + patches, width] -> [b, 1 + share * patches, width]."""
        if self.share == 1:
            return states
        b, n, width = states.shape
        order = torch.rand(b, n - 1, device=states.device).argsort(1) + 1
        kept = order[:, : round(self.share * (n - 1)), None].expand(-1, -1, width)
        return torch.cat([states[:, :1], states.gather(1, kept)], 1)


def main() -> None:
    args = parse(__doc__, batch=768)
    device, checkpoint = args.device, args.work / "checkpoints/judge.safetensors"
    tokenizer = CLIPTokenizer.from_pretrained(args.work / "pocket/tokenizer")
    world = World(
        args.work / "world",
        device,
        args.per_scene,
        seed=1 + args.seed,
        workers=args.workers,
        early=not args.whole,
    )
    world.early = False  # every subject, in the scenes of this world
    rows = world.rows(args.rows, seed=2 + args.seed, pairs=0.0, tints=0.0)
    generator = torch.Generator(device).manual_seed(1 + args.seed)
    n = min(args.rows, args.latents)
    bank = _bank(world, rows, n, generator)
    caption, words = (
        token_ids(tokenizer, t[:n]).to(device) for t in (rows.captions, rows.subject_text)
    )
    subject = torch.as_tensor(rows.subject[:n], device=device)
    scene = torch.as_tensor(world.scene_of[rows.background[:n]], device=device)
    phrases = [(p, i) for i, name in enumerate(world.scenes) for p in SCENES[name][1]]
    model = models.judge(tokenizer).to(device)
    resumed = load_into(model, checkpoint)
    seen = SomePatches()
    model.vision_model.embeddings.register_forward_hook(seen)
    ids = token_ids(tokenizer, [p for p, _ in phrases]).to(device)
    contrast = Contrast(
        model, ids, torch.tensor([i for _, i in phrases], device=device), len(world.subjects)
    )
    contrast.know(bank, subject)
    optimisers = _optimisers(model, contrast)
    stage = Stage(
        "judge", args, optimisers, {"judge": model}, args.rate or 6e-4, warmup=100, decay=0.998
    )
    stage.log(resumed=int(resumed), parameters=sum(p.numel() for p in model.parameters()))

    def losses(step: int) -> dict[str, Tensor]:
        seen.share = args.patches if stage.fraction < 0.75 else 1.0
        at = torch.randint(n, (args.batch,), device=device)
        picture = _weather(bank[at].float() / 255, generator) * 2 - 1
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            if step % TEXT_EVERY == 0:
                found = contrast(picture, caption[at], words[at], scene[at], subject[at])
            else:
                found = contrast.pictures(picture, contrast.where, scene[at], subject[at])[1]
        return {
            "loss": sum(0.5 * v if k in TEXT_LOSSES else v for k, v in found.items()),
            "subject": found["subject"],
            "scene": found["scene"],
        }

    stage.run(losses)


def _weather(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, light, blur and grain, drawn per picture, so that none of them tells anything."""
    b = len(picture)

    def draw() -> Tensor:
        return torch.rand(b, 1, 1, 1, generator=generator, device=picture.device)

    picture = torch.where(draw() < 0.5, picture.flip(-1), picture) * (0.8 + 0.4 * draw())
    soft = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mix = draw()
    noise = torch.randn(picture.shape, generator=generator, device=picture.device) * 0.03
    return (picture * (1 - mix) + soft * mix + noise * draw()).clamp(0, 1)


if __name__ == "__main__":
    main()
