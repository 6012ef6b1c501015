"""Seconds per training step and per picture, ours beside the ordinary way, in one run.

    python -m benchmarks.step --photos FOLDER [--base FOLDER] [--steps N] [--rounds N]

Training: LoRA written the ordinary way with diffusers and peft, four photos a step; ours without
DFKD and with it (the pool's cost spread over the session's steps), both with the rows of
what is replayed as well; what is timed is a first session, where photos take those rows.
Drawing: plain StableDiffusionPipeline, ours without contexts and with them, at batch 1 and 4.
The best of several interleaved rounds.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from torch.nn import functional as F

from lfsd.adapter import Adapter, fitted, layer_pattern
from lfsd.base import BaseModel
from lfsd.context import ConceptContext
from lfsd.generate import generate, latent_shape
from lfsd.learn import Subject, learn_session
from lfsd.locate import locate_base
from lfsd.photos import intake
from lfsd.sampler import Sampling
from lfsd.settings import Settings
from lfsd.tokens import insert_token

PROMPT = "a photo of a cat"
PHOTOS = 4
"""Photos per step of plain LoRA, whatever lfsd's own batch is."""


def plain_lora(folder: Path, layers: str, batch: int, steps: int) -> Callable[[], float]:
    """The loop of diffusers' own LoRA example: one batch, text encoded each step, AdamW.

    `layers` are those that ours adapts, so that both train the same matrices.
    """
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    unet, s = pipeline.unet, Settings()
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=s.rank, lora_alpha=s.alpha, target_modules=layers))
    trained = [p for p in unet.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    side = unet.config.sample_size
    latents = torch.randn(batch, unet.config.in_channels, side, side)
    ids = pipeline.tokenizer(
        [PROMPT] * batch, padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids

    def run() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            with torch.no_grad():
                text = pipeline.text_encoder(ids).last_hidden_state
            noise = torch.randn_like(latents)
            t = torch.randint(0, 1000, (batch,))
            noisy = pipeline.scheduler.add_noise(latents, noise, t)
            loss = F.mse_loss(unet(noisy, t, text).sample, noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad()
        return (time.perf_counter() - began) / steps

    return run


def our_training(folder: Path, photos: Path, steps: int, distill: bool) -> Callable[[], float]:
    """A whole session of ours; the pool is charged at its share of a default session's length."""

    def run() -> float:
        base = BaseModel.load(str(folder), device="cpu")
        settings = Settings(steps=steps, distill=distill, measure=False)
        found = intake([photos], resolution=base.resolution)
        adapter = Adapter(base, settings)
        learned = learn_session(base, adapter, Subject("V1", "cat"), found.photos, settings)
        without_pool = learned.seconds_per_step - learned.pool_seconds / steps
        return without_pool + learned.pool_seconds / Settings().steps

    return run


def drawing(folder: Path, n: int, steps: int) -> dict[str, Callable[[], float]]:
    """Seconds per picture of each way to draw n at once."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    base = BaseModel.load(str(folder), device="cpu")
    insert_token(base, "V1", "cat")
    settings = Settings()
    adapter, rng = Adapter(base, settings), np.random.default_rng(0)
    c, h, w = latent_shape(base)
    mask = np.zeros((settings.contexts, h, w), np.float32)
    mask[:, h // 5 : -h // 5, w // 5 : -w // 5] = 1
    latents = rng.normal(size=(settings.contexts, c, h, w)).astype(np.float32)
    context = ConceptContext("V1", "cat", latents, mask)
    sampling = Sampling(
        steps=steps,
        context_strength=settings.context_strength,
        context_fraction=settings.context_fraction,
    )

    def timed(draw: Callable[[], object]) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            draw()
            return (time.perf_counter() - began) / n

        return run

    def ours(contexts: list[ConceptContext]) -> Callable[[], float]:
        return timed(
            lambda: generate(
                base,
                adapter,
                "a V1 cat on a beach",
                n=n,
                seed=0,
                sampling=sampling,
                contexts=contexts,
            )
        )

    return {
        "StableDiffusionPipeline": timed(
            lambda: pipeline([PROMPT] * n, num_inference_steps=steps, guidance_scale=5.0)
        ),
        "ours": ours([]),
        "ours, ICGen": ours([context]),
    }


def table(title: str, ways: dict[str, Callable[[], float]], rounds: int) -> None:
    """Best of `rounds`, interleaved, and the ratio to the first way."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, run in ways.items():
            best[name] = min(best[name], run())
    first = next(iter(best.values()))
    print(f"\n{title}")
    for name, seconds in best.items():
        print(f"  {name:28s} {seconds:8.4f} s  {seconds / first:5.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos of one cat")
    parser.add_argument("--base", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    folder = args.base or locate_base("pocket")
    chosen = fitted(Settings(), BaseModel.load(str(folder), device="cpu"))
    layers = layer_pattern(chosen.targets or ())
    ways = {
        "LoRA, diffusers + peft": plain_lora(folder, layers, PHOTOS, args.steps),
        "ours, no DFKD": our_training(folder, args.photos, args.steps, distill=False),
        "ours, DFKD": our_training(folder, args.photos, args.steps, distill=True),
    }
    s = Settings()
    rows = f"{PHOTOS} photos, ours {s.batch + s.replay} and {s.distill_batch} rows of its pool"
    table(f"seconds per training step, {rows}", ways, args.rounds)
    for n in (1, 4):
        table(
            f"seconds per picture, {args.steps} steps, batch {n}",
            drawing(folder, n, args.steps),
            args.rounds,
        )


if __name__ == "__main__":
    main()
