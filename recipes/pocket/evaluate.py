"""Stage 9, `evaluate`: pocket's figures on data never trained on, with fixed seeds, and a contact sheet.

    python -m recipes.pocket.evaluate --work WORK [--base lfsd/bases/pocket] [--photos FOLDER] [--sheet FILE.png] [--guidance 4]

Prints one JSON line per figure. FOLDER holds one folder of photographs per subject. A colour histogram is measured beside the judge.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from lfsd.judge import Judge
from recipes.pocket.early import SCENES as EARLY_SCENES
from recipes.pocket.likeness import likeness
from recipes.pocket.scenes import SCENES
from recipes.pocket.world import SIZE, World, article

OBJECTS = (
    "cat", "dog", "bird", "horse", "teddy bear", "backpack", "boot", "sneaker", "teapot", "vase", "bowl", "candle", "clock", "car", "chair",
    "flower", "hat", "bag", "bottle", "duck", "rabbit", "penguin", "tiger", "apple", "ball", "boat", "house", "cup", "tree", "toy", "can", "glasses",
)  # fmt: skip


def prompts() -> list[tuple[str, str, str]]:
    """64 (object, scene phrase, prompt): every object in two scenes."""
    places = [SCENES[s][1][0] for s in EARLY_SCENES[:12]]
    pairs = [
        (o, places[(i * 5 + 3 * k) % len(places)]) for k in range(2) for i, o in enumerate(OBJECTS)
    ]
    return [(o, p, f"a photo of {article(o)} {p}") for o, p in pairs]


def bare_prompts() -> list[tuple[str, str, str]]:
    """The same for 64 prompts that name no scene: every object twice."""
    return [(o, "", f"a photo of {article(o)}") for o in OBJECTS] * 2


def psnr(pipeline: StableDiffusionPipeline, pictures: torch.Tensor) -> float:
    """Mean over pictures [n, 3, 128, 128] in 0..1 of the autoencoder's PSNR in dB."""
    values = []
    for picture in pictures.split(16):
        x = picture * 2 - 1
        out = pipeline.vae.decode(pipeline.vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
        values += (-10 * torch.log10(((out - x) / 2).square().mean((1, 2, 3)))).tolist()
    return float(np.mean(values))


def histogram(images: list[Image.Image]) -> np.ndarray:
    """Unit 8x8x8 colour histograms, the baseline: [n, 512]."""
    found = []
    for image in images:
        a = np.asarray(image.convert("RGB")).reshape(-1, 3) // 32
        h = np.bincount(a[:, 0] * 64 + a[:, 1] * 8 + a[:, 2], minlength=512).astype(np.float32)
        found.append(np.sqrt(h) / np.linalg.norm(np.sqrt(h)))
    return np.stack(found)


def leave_one_out(embeddings: np.ndarray, labels: list[int]) -> float:
    """Share of pictures whose nearest other picture shows the same subject."""
    near = embeddings @ embeddings.T
    np.fill_diagonal(near, -np.inf)
    known = np.array(labels)
    return float((known[near.argmax(1)] == known).mean())


def centre_crops(folder: Path) -> tuple[list[Image.Image], list[int]]:
    images, labels = [], []
    for label, subject in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for path in sorted(subject.glob("*.jpg")):
            with Image.open(path) as image:
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                square = image.convert("RGB").crop((left, top, left + side, top + side))
            images.append(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS))
            labels.append(label)
    return images, labels


def to_images(pictures: torch.Tensor) -> list[Image.Image]:
    return [
        Image.fromarray((p.permute(1, 2, 0).clamp(0, 1).numpy() * 255).round().astype(np.uint8))
        for p in pictures
    ]


def to_tensor(images: list[Image.Image]) -> torch.Tensor:
    return (
        torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2).float()
        / 255
    )


def say(**figures: float | str) -> None:
    print(
        json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}),
        flush=True,
    )


def held_out(world: World, per_subject: int = 5) -> tuple[list[Image.Image], list[int]]:
    """Composites of every held-out subject in scenes never painted in training."""
    pool = world.pool(held_out=True)
    rows = world.rows(len(pool) * per_subject, seed=99, held_out=True, pairs=0.0, tints=0.0)
    rows.subject = np.repeat(pool, per_subject)
    pictures = world.compose(rows, np.arange(len(rows)), torch.Generator().manual_seed(9))
    return to_images(pictures), rows.subject.tolist()


def composites(world: World, asked: list[tuple[str, str, str]]) -> list[Image.Image]:
    """What a perfect model would draw: for every prompt a subject of that noun, pasted over that scene."""
    nouns: dict[str, list[int]] = {}
    for i in world.pool(held_out=False):
        nouns.setdefault(world.subjects[i].noun, []).append(i)
    places = {SCENES[s][1][0]: world.scenes.index(s) for s in world.scenes}
    rows = world.rows(len(asked), seed=77, pairs=0.0, tints=0.0)
    rows.subject = np.array(
        [nouns[o][k // len(OBJECTS) % len(nouns[o])] for k, (o, _, _) in enumerate(asked)]
    )
    rows.background = np.array(
        [np.flatnonzero(world.scene_of == places[p])[k % 8] for k, (_, p, _) in enumerate(asked)]
    )
    return to_images(
        world.compose(rows, np.arange(len(asked)), torch.Generator().manual_seed(77), play=0.5)
    )


def draw(
    pipeline: StableDiffusionPipeline, asked: list[tuple[str, str, str]], guidance: float
) -> list[Image.Image]:
    """One picture of 30 steps per prompt, each with a seed of its own."""
    drawn: list[Image.Image] = []
    for start in range(0, len(asked), 8):
        batch = [p for _, _, p in asked[start : start + 8]]
        seeds = [torch.Generator().manual_seed(start + i) for i in range(len(batch))]
        drawn += pipeline(
            batch, num_inference_steps=30, guidance_scale=guidance, generator=seeds
        ).images
    return drawn


def named(
    judge: Judge,
    images: list[Image.Image],
    asked: list[tuple[str, str, str]],
    among: list[tuple[str, str, str]] | None = None,
) -> tuple[float, float]:
    """Shares of pictures of which the judge names the right object, and the right scene, among all of `among` (or all asked for)."""
    objects, places = (sorted({row[k] for row in among or asked}) for k in (0, 1))
    seen, width = judge.images(images), judge.subject_dims
    # a word's embedding is its mean over whole captions, as is usual for CLIP: that is what its text encoder learned from
    captions = [f"a photo of {article(o)} {p}" for o in objects for p in places]
    said = judge.texts(captions).reshape(len(objects), len(places), -1)
    what, where = said.mean(1), said.mean(0)
    told = (seen[:, :width] @ what[:, :width].T).argmax(1)
    placed = (seen[:, width:] @ where[:, width:].T).argmax(1)
    return (
        float(np.mean([objects[n] == o for n, (o, _, _) in zip(told, asked, strict=True)])),
        float(np.mean([places[n] == p for n, (_, p, _) in zip(placed, asked, strict=True)])),
    )


def retrieval(judge: Judge, images: list[Image.Image], asked: list[tuple[str, str, str]]) -> float:
    """Share of pictures whose own caption is the nearest of all."""
    near = judge.images(images) @ judge.texts([p for _, _, p in asked]).T
    return float((near.argmax(1) == np.arange(len(asked))).mean())


def contact_sheet(images: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (8 * SIZE, -(-len(images) // 8) * SIZE))
    for i, image in enumerate(images):
        whole.paste(image, (i % 8 * SIZE, i // 8 * SIZE))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    parser.add_argument("--base", type=Path, default=Path("lfsd/bases/pocket"))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--guidance", type=float, default=4.0)
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    pipeline = StableDiffusionPipeline.from_pretrained(
        args.base, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    judge = Judge.load(args.base)
    world = World(args.work / "world", "cpu", per_scene=8, seed=4242, early=True)
    images, labels = held_out(world)
    say(figure="autoencoder PSNR, held-out composites", value=psnr(pipeline, to_tensor(images)))
    say(
        figure="leave-one-out, held-out subjects",
        judge=leave_one_out(judge.subjects(images), labels),
        histogram=leave_one_out(histogram(images), labels),
    )
    if args.photos:
        images, labels = centre_crops(args.photos)
        say(figure="autoencoder PSNR, photographs", value=psnr(pipeline, to_tensor(images)))
        say(
            figure="leave-one-out, photographs",
            judge=leave_one_out(judge.subjects(images), labels),
            histogram=leave_one_out(histogram(images), labels),
        )
    for name, seen in likeness(args.base, judge, world).items():
        say(
            figure=f"held-out subjects drawn {name} contexts",
            similarity=seen.similarity,
            told=seen.told,
        )
    asked = prompts()
    drawn, ideal = draw(pipeline, asked, args.guidance), composites(world, asked)
    (told, placed), (most_told, most_placed) = (
        named(judge, drawn, asked),
        named(judge, ideal, asked),
    )
    say(figure="judge, own caption among 64", composites=retrieval(judge, ideal, asked))
    say(figure="picture object top-1", drawn=told, composites=most_told)
    say(figure="picture scene top-1", drawn=placed, composites=most_placed)
    plain = draw(pipeline, bare_prompts(), args.guidance)
    say(
        figure="picture object top-1, no scene named",
        drawn=named(judge, plain, bare_prompts(), asked)[0],
    )
    if args.sheet:
        contact_sheet(drawn).save(args.sheet)
        contact_sheet(plain).save(args.sheet.with_stem(f"{args.sheet.stem}-plain"))


if __name__ == "__main__":
    main()
