"""The pocket world on a device: subjects over scenes, composed in batches, with their captions.

A *recipe row* is a handful of integers (which subject, which background, which tint, which caption). Rows are drawn once
on the CPU with a seed; pictures are made from them on the device, so a GPU never waits for Python.
"""

import json
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket.early import SCENES as EARLY_SCENES
from recipes.pocket.early import SUBJECTS as EARLY_SUBJECTS
from recipes.pocket.scenes import COLOURS, SCENES, paint
from recipes.pocket.sources import Subject

SIZE = 128
_BACK = 160
STYLES = {
    "photo": ("a photo of {}", "a picture of {}", "{}", "a photograph of {}"),
    "cartoon": ("a cartoon of {}", "a drawing of {}", "{}", "an illustration of {}"),
    "render": ("a 3d render of {}", "a toy like {}", "{}", "a photo of {}", "a 3d model of {}"),
}
#: the nouns people teach are shown more often than the rest of the world
TAUGHT = frozenset(
    "cat dog bird horse toy backpack boot sneaker shoe glasses teapot vase bowl can candle clock car chair flower hat bag bottle".split()
) | {"teddy bear"}
_TINTS = (*COLOURS,)


def article(phrase: str) -> str:
    """`a` or `an` before the phrase, none before a plural."""
    if phrase.split()[-1].endswith("s") and not phrase.endswith(("ss", "us", "is")):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


@dataclass
class Rows:
    """Recipe rows as arrays; `captions[i]` describes row i, `subject_text` / `scene_text` its two halves."""

    subject: np.ndarray  # [n] index of the subject
    second: np.ndarray  # [n] a second subject or -1
    background: np.ndarray  # [n] index into the background bank
    tint: np.ndarray  # [n] index into COLOURS or -1
    captions: list[str]
    subject_text: list[str]
    scene_text: list[str]

    def __len__(self) -> int:
        return len(self.captions)


class World:
    """Sprites and backgrounds as tensors on one device.

    sprites: [S, 4, 128, 128] uint8; backgrounds: [N, 3, 160, 160] uint8, `scene_of[n]` indexes SCENES.
    """

    def __init__(
        self,
        folder: Path,
        device: str,
        per_scene: int = 300,
        seed: int = 0,
        workers: int = 2,
        early: bool = False,
    ) -> None:
        listing = json.loads((folder / "subjects.json").read_text(encoding="utf-8"))
        self.subjects = [Subject(**s) for s in listing["subjects"]]
        sprites = [
            np.asarray(Image.open(folder / "sprites" / f"{i:04d}.webp").convert("RGBA"))
            for i in range(len(self.subjects))
        ]
        self.sprites = (
            torch.from_numpy(np.stack(sprites)).permute(0, 3, 1, 2).contiguous().to(device)
        )
        self.scenes = [s for s in SCENES if not early or s in EARLY_SCENES]
        self.early = early
        jobs = [(name, seed * 1_000_003 + k) for k in range(per_scene) for name in self.scenes]
        with ProcessPoolExecutor(workers) as pool:
            pictures = list(pool.map(partial(_paint_job, size=_BACK), jobs, chunksize=64))
        scene_of = [self.scenes.index(name) for name, _ in jobs]
        for photo in listing["photographs"]:
            if photo["scene"] in self.scenes:
                crops = _crops(folder / "photos" / photo["file"], 40, seed)
                pictures += crops
                scene_of += [self.scenes.index(photo["scene"])] * len(crops)
        self.backgrounds = (
            torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous().to(device)
        )
        self.scene_of = np.array(scene_of)
        self.grounded = torch.tensor([SCENES[self.scenes[i]][2] for i in scene_of], device=device)
        self.photographs = [folder / "photos" / p["file"] for p in listing["photographs"]]
        self.device = device

    def pool(self, held_out: bool) -> np.ndarray:
        """Indices of the subjects to draw from; an early world shows a few of each noun."""
        if self.early and not held_out:
            index = {s.id: i for i, s in enumerate(self.subjects)}
            return np.array([index[name] for names in EARLY_SUBJECTS.values() for name in names])
        return np.array([i for i, s in enumerate(self.subjects) if s.held_out == held_out])

    def rows(
        self,
        n: int,
        seed: int,
        *,
        held_out: bool = False,
        pairs: float = 0.12,
        tints: float = 0.2,
        more: Collection[str] = (),
        bare: float = 0.0,
    ) -> Rows:
        """Draw n recipe rows with their captions; subjects of the nouns `more` come three times as often.

        A share `bare` of the captions names no scene; most of those pictures are on white, as a catalogue's are.
        """
        rng = np.random.default_rng(seed)
        pool = self.pool(held_out)
        weight = self._weights([self.subjects[i].noun for i in pool], more)
        subject = rng.choice(pool, n, p=weight / weight.sum())
        second = np.where(rng.random(n) < pairs, rng.choice(pool, n), -1)
        scene = rng.integers(0, len(self.scenes), n)
        plain = np.array([s.endswith("background") for s in self.scenes])
        rare = plain[scene] & (
            rng.random(n) < 0.5
        )  # eleven plain colours would be a third of the world
        scene[rare] = rng.choice(np.flatnonzero(~plain), rare.sum())
        unplaced = rng.random(n) < bare if bare else np.zeros(n, bool)
        scene[unplaced & (np.arange(n) % 4 < 3)] = self.scenes.index("white background")
        members = [np.flatnonzero(self.scene_of == i) for i in range(len(self.scenes))]
        background = np.array([members[s][rng.integers(len(members[s]))] for s in scene])
        tinted = (rng.random(n) < tints) & (second < 0)
        tint = np.where(tinted, rng.integers(0, len(_TINTS), n), -1)
        drawn = zip(subject, second, scene, tint, unplaced, strict=True)
        texts = [self._caption(rng, *row) for row in drawn]
        return Rows(subject, second, background, tint, *map(list, zip(*texts, strict=True)))

    def _weights(self, nouns: Sequence[str], more: Collection[str]) -> np.ndarray:
        """How often each subject comes: an early world shows its nouns alike, a whole one its subjects."""
        if self.early:
            weight = 1 / np.array([nouns.count(n) for n in nouns])
        else:
            weight = np.array([3.0 if n in TAUGHT else 1.0 for n in nouns])
        return weight * np.array([3.0 if n in more else 1.0 for n in nouns])

    def _name(self, rng: np.random.Generator, i: int, tint: int) -> str:
        s = self.subjects[i]
        name = s.noun if (tint >= 0 or rng.random() < 0.45) else s.name
        return article(f"{_TINTS[tint]} {name}" if tint >= 0 else name)

    def _caption(
        self,
        rng: np.random.Generator,
        subject: int,
        second: int,
        scene: int,
        tint: int,
        bare: bool,
    ) -> tuple[str, str, str]:
        what = self._name(rng, subject, tint)
        if second >= 0:
            what += " and " + self._name(rng, second, -1)
        forms = STYLES[self.subjects[subject].style]
        phrases = SCENES[self.scenes[scene]][1]
        phrase = phrases[rng.integers(len(phrases))]
        where = "" if bare else phrase
        return f"{forms[rng.integers(len(forms))].format(what)} {where}".rstrip(), what, where

    def compose(
        self,
        rows: Rows,
        index: np.ndarray | Tensor,
        generator: torch.Generator,
        *,
        play: float = 1.0,
        wild: bool = False,
    ) -> Tensor:
        """Pictures of the given rows: [B, 3, 128, 128] float in 0..1; see `drawn`."""
        return self.drawn(rows, index, generator, play=play, wild=wild)[0]

    def drawn(
        self,
        rows: Rows,
        index: np.ndarray | Tensor,
        generator: torch.Generator,
        *,
        play: float = 1.0,
        wild: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Pictures [B, 3, 128, 128] and how far subjects cover them [B, 1, 128, 128], both float in 0..1.

        `play` is how much subjects vary in size, place and side: with less of it a model knows them sooner. `wild`
        moves and lights them far more (for the judge).
        """
        index = np.asarray(index)
        tensor = partial(torch.as_tensor, device=self.device)
        first, second = tensor(rows.subject[index]), tensor(rows.second[index])
        back, tint = tensor(rows.background[index]), tensor(rows.tint[index])
        b = len(index)

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return (
                torch.rand(shape or (b,), generator=generator, device=self.device) * (high - low)
                + low
            )

        picture = self._background(back, uniform)
        two = second >= 0
        size = uniform(0.35 if wild else 0.92 - 0.42 * play, 1.15 if wild else 0.92)
        size = torch.where(two, uniform(0.42, 0.6), size)
        x = torch.where(two, uniform(0.24, 0.32), 0.5 + play * uniform(-0.14, 0.14))
        x = torch.where(two & (uniform(0, 1) < 0.5), 1 - x, x)
        place = partial(
            self._place, grounded=self.grounded[back], uniform=uniform, play=play, wild=wild
        )
        picture, cover = place(picture, first, x, size, tint, present=torch.ones_like(two))
        beside = size * uniform(0.85, 1.1)
        plain = -torch.ones_like(tint)
        picture, other = place(picture, second.clamp(min=0), 1 - x, beside, plain, present=two)
        return picture, torch.maximum(cover, other)

    def _background(self, back: Tensor, uniform) -> Tensor:
        b = len(back)
        theta = torch.zeros(b, 2, 3, device=self.device)
        zoom = uniform(0.72, 0.98)
        flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
        theta[:, 0, 0], theta[:, 1, 1] = zoom * flip, zoom
        theta[:, 0, 2], theta[:, 1, 2] = (1 - zoom) * uniform(-1, 1), (1 - zoom) * uniform(-1, 1)
        grid = F.affine_grid(theta, [b, 3, SIZE, SIZE], align_corners=False)
        picture = F.grid_sample(
            self.backgrounds[back].float() / 255, grid, padding_mode="border", align_corners=False
        )
        return (picture * uniform(0.9, 1.1, b, 1, 1, 1)).clamp(0, 1)

    def _place(
        self,
        picture: Tensor,
        subject: Tensor,
        x: Tensor,
        size: Tensor,
        tint: Tensor,
        *,
        grounded: Tensor,
        present: Tensor,
        uniform,
        play: float,
        wild: bool,
    ) -> tuple[Tensor, Tensor]:
        """Paste one subject per picture; its lower edge stands at a drawn height (grounded) or it floats.

        Gives the pictures and the pasted subjects' alpha [B, 1, 128, 128].
        """
        b = len(subject)
        base = torch.where(grounded, uniform(0.8, 0.96), 0.5 + size / 2 + uniform(-0.08, 0.08))
        if wild:
            base = base + uniform(-0.12, 0.12)
        y = base - size / 2
        angle = uniform(-0.35, 0.35) if wild else play * uniform(-0.1, 0.1)
        flip = torch.where(uniform(0, 1) < 0.5 * play, -1.0, 1.0)
        wide = uniform(0.8, 1.25) if wild else uniform(0.94, 1.06)
        cos, sin = torch.cos(angle), torch.sin(angle)
        theta = torch.stack([
            torch.stack([flip * cos / (size * wide), flip * sin / (size * wide), torch.zeros_like(x)], -1),
            torch.stack([-sin / size, cos / size, torch.zeros_like(x)], -1),
        ], 1)  # fmt: skip
        centre = torch.stack([2 * x - 1, 2 * y - 1], -1)
        theta[:, :, 2] = -(theta[:, :, :2] @ centre[..., None])[..., 0]
        grid = F.affine_grid(theta, [b, 4, SIZE, SIZE], align_corners=False)
        sprite = self.sprites[subject].float() / 255
        sprite = torch.cat(
            [sprite[:, :3] * sprite[:, 3:], sprite[:, 3:]], 1
        )  # premultiplied: no dark fringe
        sprite = F.grid_sample(sprite, grid, align_corners=False)
        alpha = sprite[:, 3:] * present.view(-1, 1, 1, 1)
        colour = sprite[:, :3] / sprite[:, 3:].clamp(min=1e-3)
        colour = self._tinted(colour, tint) * uniform(
            *((0.6, 1.35) if wild else (0.9, 1.1)), b, 1, 1, 1
        )
        if wild:
            colour = (colour * uniform(0.85, 1.15, b, 3, 1, 1)).clamp(0, 1) ** uniform(
                0.7, 1.4, b, 1, 1, 1
            )
        picture = picture * (1 - self._shadow(x, base, size, grounded & present))
        return (picture * (1 - alpha) + colour.clamp(0, 1) * alpha).clamp(0, 1), alpha

    def _tinted(self, colour: Tensor, tint: Tensor) -> Tensor:
        palette = (
            torch.tensor([COLOURS[c] for c in _TINTS], device=self.device, dtype=torch.float32)
            / 255
        )
        grey = (colour * torch.tensor([0.3, 0.59, 0.11], device=self.device).view(1, 3, 1, 1)).sum(
            1, keepdim=True
        )
        hue = palette[tint.clamp(min=0)].view(-1, 3, 1, 1)
        level = hue.mean(1, keepdim=True)
        shaded = torch.where(
            grey < 0.5,
            hue * (0.25 + 1.5 * grey),
            hue + (1 - hue) * (grey - 0.5) * (0.6 + 0.8 * (1 - level)),
        )
        return torch.where((tint >= 0).view(-1, 1, 1, 1), shaded, colour)

    def _shadow(self, x: Tensor, base: Tensor, size: Tensor, cast: Tensor) -> Tensor:
        axis = (torch.arange(SIZE, device=self.device) + 0.5) / SIZE
        dx = (axis[None, None, :] - x[:, None, None]) / (0.42 * size[:, None, None])
        dy = (axis[None, :, None] - base[:, None, None] + 0.015) / (0.07 * size[:, None, None])
        return (0.45 * torch.exp(-(dx**2 + dy**2)) * cast.view(-1, 1, 1))[:, None]


def _paint_job(job: tuple[str, int], size: int) -> np.ndarray:
    return paint(job[0], job[1], size)


def _crops(path: Path, n: int, seed: int, size: int = _BACK) -> list[np.ndarray]:
    """n random square crops of a photograph: [size, size, 3] uint8."""
    rng = np.random.default_rng(
        [seed, len(path.name), int(path.stem) if path.stem.isdigit() else 0]
    )
    image = Image.open(path).convert("RGB")
    out = []
    for _ in range(n):
        side = int(min(image.size) * rng.uniform(0.45, 1.0))
        left, top = (
            rng.integers(0, image.width - side + 1),
            rng.integers(0, image.height - side + 1),
        )
        out.append(
            np.asarray(
                image.crop((left, top, left + side, top + side)).resize(
                    (size, size), Image.Resampling.BICUBIC
                )
            )
        )
    return out


def photo_crops(paths: Sequence[Path], per_photo: int, seed: int) -> np.ndarray:
    """Random crops of every photograph: [n, 160, 160, 3] uint8, for the autoencoder."""
    return np.stack([c for p in paths for c in _crops(p, per_photo, seed)])
