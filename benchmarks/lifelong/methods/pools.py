"""Methods that show the student something old beside the photos: they differ in the pool alone.

In lfsd the pool holds the teacher's own trajectories, here it holds noised clean latents. The
pool's share of a batch (`distill_batch`) is the same for all, and every entry is used once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.protocol import Session
from lfsd.distill import Pool
from lfsd.generate import make_images
from lfsd.learn import LearnedSession
from lfsd.loop import Loop
from lfsd.prompts import TRAINING, fill, training_prompts
from lfsd.randomness import seeded
from lfsd.sampler import Sampling
from lfsd.settings import Settings

CLASS_PICTURES = 40
"""Class pictures of prior preservation, made before the session."""


@dataclass(frozen=True)
class Remembered:
    """Clean latents [n,C,h,w] and the prompts they are shown under."""

    prompts: Sequence[str]
    latents: Tensor


@dataclass
class NoisedLoop(Loop):
    """A pool of noised clean latents, each with a prompt drawn from its own."""

    remembered: Sequence[Remembered] = ()

    def pool_prompts(self) -> dict[str, list[str]]:
        """The prompts of all that is remembered."""
        return {"remembered": [p for part in self.sources() for p in part.prompts]}

    def sources(self) -> Sequence[Remembered]:
        """What is remembered."""
        return self.remembered

    def make_pool(self, number: int, rng: torch.Generator) -> Pool:
        """As many entries as the session's steps use: latent, t, prompt, noise drawn anew."""
        base, sources, size = self.base, self.sources(), self.pool_entries
        latents = torch.cat([part.latents for part in sources]).to(base.device)
        names = [part.prompts for part in sources for _ in part.latents]
        which = torch.randint(len(latents), (size,), generator=rng)
        turn = torch.randint(1 << 16, (size,), generator=rng).tolist()
        t = torch.randint(base.num_train_timesteps, (size,), generator=rng).to(base.device)
        clean = latents[which.to(base.device)]
        noise = torch.randn(clean.shape, generator=rng).to(base.device)
        prompts = [names[i][k % len(names[i])] for i, k in zip(which.tolist(), turn, strict=True)]
        prompt = torch.tensor([self.prompts.names.index(p) for p in prompts], device=base.device)
        noisy = base.add_noise(clean, noise, t)
        return Pool(noisy, t, prompt, self.wanted(clean, noise, noisy, t, prompt))

    def wanted(
        self, clean: Tensor, noise: Tensor, noisy: Tensor, t: Tensor, prompt: Tensor
    ) -> Tensor:
        """What the student should predict: the true target."""
        return self.base.target(clean, noise, t)


@dataclass
class PreservationLoop(NoisedLoop):
    """The session's own photos under the class prompt, where nothing may change."""

    def sources(self) -> Sequence[Remembered]:
        """The photos, mirrored too where `flip` shows them so, under the training prompts without
        the token."""
        prompts = [fill(template, self.subject.class_noun) for template in TRAINING]
        return [Remembered(prompts, self.data.latents[: self.data.photos].flatten(0, 1))]

    @torch.no_grad()
    def wanted(
        self, clean: Tensor, noise: Tensor, noisy: Tensor, t: Tensor, prompt: Tensor
    ) -> Tensor:
        """What the model predicted before the session."""
        with self.adapter.as_teacher():
            parts = [
                self.base.predict(noisy[i], t[i], self.prompts.states[prompt[i]])
                for i in torch.arange(len(t), device=t.device).split(16)
            ]
        return torch.cat(parts)


class Preservation(Learner):
    """Differential output preservation, in the manner of CAT (arXiv 2404.07554)."""

    def loop(self, session: Session) -> Callable[..., Loop]:
        """The loop with its pool."""
        return PreservationLoop


class PriorPreservation(Learner):
    """DreamBooth's prior preservation: class pictures by the untouched base, drawn beforehand."""

    def loop(self, session: Session) -> Callable[..., Loop]:
        """Draws the class pictures, which belongs to the session's cost."""
        prompt = fill("a photo of a {}", session.class_noun)
        return partial(
            NoisedLoop, remembered=[Remembered([prompt], self.class_pictures(session, prompt))]
        )

    def class_pictures(self, session: Session, prompt: str) -> Tensor:
        """Latents of pictures of the class noun, through pixels as DreamBooth does it."""
        rng = seeded(self.settings.seed, session.token, "class pictures")
        seeds = torch.randint(1 << 30, (CLASS_PICTURES,), generator=rng).tolist()
        with self.adapter.as_base():
            sampling = Sampling(
                steps=self.settings.distill_steps, guidance_fraction=1.0, icgen="off", batch=8
            )
            images = make_images(self.base, [prompt] * len(seeds), seeds, sampling)
        pixels = np.stack([np.asarray(i) for i in images]).astype(np.float32) / 127.5 - 1
        pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return torch.cat([self.base.encode_images(part) for part in pictures.split(8)])


class LatentReplay(Learner):
    """Earlier sessions' photos, kept as latents and shown again under their own prompts.

    In the manner of arXiv 2509.10529, with the autoencoder's latents as what is stored.
    """

    def session_settings(self, session: Session) -> Settings:
        """The first session has nothing to replay."""
        return self.settings.changed(distill=self.settings.distill and session.number > 1)

    def loop(self, session: Session) -> Callable[..., Loop]:
        """The loop with every earlier concept in its pool."""
        remembered = [
            Remembered(
                training_prompts(s.token, s.class_noun, None, self.settings.prompts),
                torch.from_numpy(self.kept[s.token]["replay"]),
            )
            for s in self.earlier(session)
        ]
        return partial(NoisedLoop, remembered=remembered) if remembered else Loop

    def remember(self, session: Session, learned: LearnedSession) -> None:
        """Keep all photos' latents."""
        self.kept[session.token]["replay"] = learned.latents
