"""A vision context shown while learning, as in-context generation will show it (feed `attend`).

What the paper leaves open (arXiv 2411.05544 says that generation uses contexts without further
training), and off by default. A step then has one timestep for all its photos; another photo of
the subject, noised to it, rides in the student's forward as its last row.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lfsd.attention import ContextWeights
from lfsd.base import BaseModel
from lfsd.context import ConceptContext, context_weights
from lfsd.data import Draw, PhotoLatents, chance_below, preferred, timesteps_at
from lfsd.randomness import seeded
from lfsd.settings import Settings


class Shown(NamedTuple):
    """One step's context: the photo's index and its noise [C,h,w]."""

    photo: int
    noise: Tensor


class ContextRow(NamedTuple):
    """The context as a row of the student's forward.

    noisy [1,C,h,w] at the timestep of the photos, under `prompt`; the first `rows` photos see it.
    """

    noisy: Tensor
    prompt: str
    weights: ContextWeights
    rows: int


class ShownContexts:
    """The photos of a session as each other's contexts."""

    def __init__(
        self,
        base: BaseModel,
        data: PhotoLatents,
        token: str,
        class_noun: str,
        settings: Settings,
    ) -> None:
        self.base, self.data, self.settings = base, data, settings
        latents = data.plain.cpu().numpy()
        each = [slice(i, i + 1) for i in range(data.photos)]
        contexts = [
            ConceptContext(
                token, class_noun, latents[i], None if data.masks is None else data.masks[i]
            )
            for i in each
        ]
        self.prompt = contexts[0].prompt
        self.weights = [
            ContextWeights(
                torch.from_numpy(context_weights([c], settings.context_strength)).to(base.device)
            )
            for c in contexts
        ]

    @property
    def on(self) -> bool:
        """Whether anything is shown: not for one photo, which would only be copied."""
        s = self.settings
        kept = s.icgen == "attend" and s.contexts > 0 and s.context_strength > 0
        return s.context_in_training and kept and self.data.photos > 1

    def draw(self, draw: Draw, key: Sequence[object]) -> tuple[Draw, Shown | None]:
        """The same batch around one context, of which no row is another view; None: not this time.

        A step is either as noisy as those sampling steps that see contexts (`context_fraction`),
        and then all rows have one t, or it is not, and t is stratified over the rows as usual;
        over the steps t is where `timesteps` wants it, either way. Rows under the empty prompt see
        no context (guidance's unconditional branch has none) and come last, before what is
        replayed.
        """
        if not self.on:
            return draw, None
        size, s = len(draw.t), self.settings
        rng = seeded(s.seed, *key)
        level, clear = torch.rand(1, generator=rng), chance_below(s.context_fraction, s)
        if level >= clear:
            place = ((level - clear) / (1 - clear) + torch.arange(size) / size) % 1
            return draw._replace(t=self._timesteps(clear + place * (1 - clear))), None
        photo = int(torch.randint(self.data.photos, (1,), generator=rng))
        moved = torch.randint(1, self.data.photos, (size,), generator=rng)
        noise = torch.randn(draw.noise.shape[1:], generator=rng)
        draw = draw._replace(
            t=self._timesteps(level).repeat(size), view=self._others(draw.view, photo, moved)
        )
        order = torch.argsort(draw.dropped.long(), stable=True)
        return Draw(*(part[order] for part in draw)), Shown(photo, noise)

    def _timesteps(self, place: Tensor) -> Tensor:
        share = preferred(place, self.settings)
        return timesteps_at(share, self.base.num_train_timesteps)

    def _others(self, view: Tensor, photo: int, moved: Tensor) -> Tensor:
        """The views, those of `photo` replaced by the same kind of view of the photo `moved`
        on."""
        photos = self.data.photos
        each = max(1, (self.data.own - photos) // photos)
        pasted = view >= photos
        source = torch.where(pasted, (view - photos) // each, view)
        other = (source + moved) % photos
        other = torch.where(pasted, photos + other * each + (view - photos) % each, other)
        return torch.where(source == photo, other, view)

    def row(self, shown: Shown | None, draw: Draw) -> ContextRow | None:
        """The context as a row for these photos; None if there is none or all are under the empty
        prompt."""
        rows = int((~draw.dropped & (draw.view < self.data.own)).sum())
        if shown is None or not rows:
            return None
        device = self.base.device
        clean = self.data.plain[shown.photo : shown.photo + 1]
        noise, t = shown.noise[None].to(device), draw.t[:1].to(device)
        noisy = self.base.add_noise(clean, noise, t)
        return ContextRow(noisy, self.prompt, self.weights[shown.photo], rows)
