"""Stage 4, `judge`: a CLIP pair whose image embedding has two halves, the subject's and the scene's.

    python -m recipes.pocket.train_judge --work WORK --minutes 5 [--device cuda] [--batch 768]

Half of the space is trained to know one subject again in another scene, pose and light (supervised contrast, other
subjects of the same class noun in the same batch); the other half to know the scene. The whole is contrasted with whole
captions, so it remains an ordinary CLIPModel. Its text tower becomes the start of the diffusion model's text encoder.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTokenizer

from . import models
from .arguments import parse
from .scenes import SCENES
from .tokenizer import LENGTH
from .training import Average, Budget, learning_rate, load_into, log, save_state, set_rate, share_gradients
from .world import Rows, World

HALF = models.PROJECTION // 2


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """[n, 32] padded ids."""
    return tokenizer(texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt").input_ids


def embed(features: object) -> Tensor:
    """transformers 5 wraps the projected features; older versions return them bare."""
    return features.pooler_output if hasattr(features, "pooler_output") else features  # type: ignore[return-value]


def halves(embedding: Tensor) -> tuple[Tensor, Tensor]:
    return F.normalize(embedding[:, :HALF], dim=-1), F.normalize(embedding[:, HALF:], dim=-1)


def multi_positive(logits: Tensor, positive: Tensor) -> Tensor:
    """Cross-entropy with several right answers per row: -log of the probability they share, averaged."""
    log_p = logits.log_softmax(-1)
    return -(log_p * positive).sum(-1).div(positive.sum(-1).clamp(min=1)).mean()


def keys_by_noun(world: World, rows: Rows) -> np.ndarray:
    """Row order in which subjects of one class noun lie side by side, so a batch holds hard negatives."""
    nouns = np.array([world.subjects[i].noun for i in rows.subject])
    return np.lexsort((np.random.default_rng(0).random(len(rows)), nouns))


def _draw(order: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    starts = rng.integers(0, len(order) - 8, n // 8)
    return order[(starts[:, None] + np.arange(8)).ravel()]


class Contrast:
    """The four losses of one step."""

    def __init__(self, model: torch.nn.Module, phrases: Tensor, phrase_scene: Tensor) -> None:
        self.model, self.phrases, self.phrase_scene = model, phrases, phrase_scene
        self.scale = torch.nn.Parameter(torch.full((4,), 2.6, device=phrases.device))

    def __call__(self, picture: Tensor, caption: Tensor, subject: Tensor, scene: Tensor, key: Tensor) -> dict[str, Tensor]:
        b = len(picture)
        image = embed(self.model.get_image_features(pixel_values=picture))
        ids = torch.cat([caption, subject, self.phrases])
        text = embed(self.model.get_text_features(input_ids=ids))
        whole, what, where = text[:b], text[b : 2 * b], text[2 * b :]
        scale = self.scale.exp().clamp(max=100)
        mine, place = halves(image)
        same_caption = (caption[:, None] == caption[None]).all(-1).float()
        same_subject = (subject[:, None] == subject[None]).all(-1).float()
        same_key = (key[:, None] == key[None]).float()
        logits = scale[0] * F.normalize(image, dim=-1) @ F.normalize(whole, dim=-1).T
        subjects = scale[1] * mine @ halves(what)[0].T
        # a row that shows the same subject under another name is neither a right nor a wrong answer
        unfair = (same_key > 0) & (same_subject == 0)
        subjects = subjects.masked_fill(unfair, -1e4)
        pairs = (scale[2] * mine @ mine.T).masked_fill(torch.eye(b, dtype=torch.bool, device=mine.device), -1e4)
        scenes = scale[3] * place @ halves(where)[1].T
        per_scene = torch.zeros(b, len(SCENES), device=mine.device).index_add(1, self.phrase_scene, scenes.float().softmax(-1))
        same_key.fill_diagonal_(0)
        return {
            "caption": multi_positive(logits, same_caption) + multi_positive(logits.T, same_caption),
            "subject": multi_positive(subjects, same_subject),
            "pair": multi_positive(pairs, same_key),
            "scene": F.nll_loss(per_scene.clamp(min=1e-6).log(), scene),
        }


def main() -> None:
    args = parse(__doc__, batch=768)
    device, checkpoint = args.device, args.work / "checkpoints/judge.safetensors"
    tokenizer = CLIPTokenizer.from_pretrained(args.work / "pocket/tokenizer")
    world = World(args.work / "world", device, args.per_scene, seed=1, workers=args.workers, early=not args.whole)
    first = world.rows(args.rows // 2, seed=2, pairs=0.0, tints=0.25)
    second = world.rows(len(first), seed=3, pairs=0.0, like=first)
    order = keys_by_noun(world, first)
    key = torch.as_tensor(first.subject * 100 + first.tint, device=device)
    views = []
    for rows in (first, second):
        ids = [token_ids(tokenizer, t).to(device) for t in (rows.captions, rows.subject_text)]
        views.append((rows, *ids, torch.as_tensor(world.scene_of[rows.background], device=device)))
    phrases = [(p, i) for i, (_, ps, _) in enumerate(SCENES.values()) for p in ps]
    model = models.judge(tokenizer).to(device)
    log(args.log, stage="judge", resumed=int(load_into(model, checkpoint)), parameters=sum(p.numel() for p in model.parameters()))
    contrast = Contrast(model, token_ids(tokenizer, [p for p, _ in phrases]).to(device), torch.tensor([i for _, i in phrases], device=device))
    average = Average(model, 0.999)
    optimiser = torch.optim.AdamW([*model.parameters(), contrast.scale], betas=(0.9, 0.98), weight_decay=0.05, fused=device == "cuda")
    generator, rng = torch.Generator(device).manual_seed(1 + args.seed), np.random.default_rng(1 + args.seed)
    parameters = [*model.parameters(), contrast.scale]
    budget = Budget(args.minutes)
    for step in budget.steps(args.limit):
        set_rate(optimiser, learning_rate(args.rate or 6e-4, step, budget.fraction, 400))
        index = _draw(order, args.batch // 2, rng)
        at = torch.as_tensor(index, device=device)
        parts = [(world.compose(r, index, generator, wild=True), c[at], s[at], p[at], key[at]) for r, c, s, p in views]
        picture, caption, subject, scene, keys = (torch.cat(x) for x in zip(*parts, strict=True))
        picture = _weather(picture, generator) * 2 - 1
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            losses = contrast(picture, caption, subject, scene, keys)
        loss = losses["caption"] * 0.5 + losses["subject"] + losses["pair"] + losses["scene"]
        optimiser.zero_grad()
        loss.backward()
        share_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update()
        if step % 100 == 0:
            log(args.log, stage="judge", step=step, samples=(step + 1) * args.batch, fraction=budget.fraction, **{k: float(v) for k, v in losses.items()})
        if step % 1000 == 999:
            save_state(average.state(), checkpoint)
    save_state(average.state(), checkpoint)


def _weather(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Blur half of the batch a little and add noise to all, so that a photograph's softness or grain tells nothing."""
    b = len(picture)
    soft = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mix = torch.rand(b, 1, 1, 1, generator=generator, device=picture.device)
    noise = torch.randn(picture.shape, generator=generator, device=picture.device) * 0.03
    return (picture * (1 - mix) + soft * mix + noise * torch.rand(b, 1, 1, 1, generator=generator, device=picture.device)).clamp(0, 1)


if __name__ == "__main__":
    main()
