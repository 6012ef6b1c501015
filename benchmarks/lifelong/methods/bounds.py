"""The two bounds: an adapter for every concept, and one that sees all photos at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.lifelong.methods.learner import Arrays, Learner
from benchmarks.lifelong.protocol import Session
from lfsd.data import PhotoLatents, encode_photos
from lfsd.learn import LearnedSession
from lfsd.loop import Loop
from lfsd.settings import Settings
from lfsd.tokens import insert_token, set_tokens


class Separate(Learner):
    """Every concept has an adapter of its own, and the prompt's token picks it.

    The upper bound for what may be kept: nothing is ever overwritten. A prompt without a token is
    the base's.
    """

    def learn(self, session: Session) -> None:
        """From the untouched base."""
        self.adapter.load(None)
        super().learn(session)

    def remember(self, session: Session, learned: LearnedSession) -> None:
        """Keep the adapter."""
        found = {f"adapter/{key}": array for key, array in learned.adapter.items()}
        self.kept[session.token] |= found

    def stand(self, token: str | None) -> None:
        """The concept's own adapter, or none."""
        own = self.kept[token] if token else {}
        state = {k.removeprefix("adapter/"): a for k, a in own.items() if k.startswith("adapter/")}
        self.adapter.load(state or None)

    def shared(self) -> Arrays:
        """Nothing: adapters are counted with their concepts."""
        return {}


@dataclass
class JointLoop(Loop):
    """Photos of several subjects, each under its own prompts; all their tokens' rows learn."""

    others: Sequence[PhotoLatents] = ()

    def __post_init__(self) -> None:
        self.data = merged([*self.others, self.data])
        self.rows = [row for table in self.base.token_tables for row in table.rows.values()]
        for row in self.rows:
            row.requires_grad_(True)
        super().__post_init__()

    def close(self) -> None:
        """Freeze all rows again."""
        for row in self.rows:
            row.requires_grad_(False)


def merged(parts: Sequence[PhotoLatents]) -> PhotoLatents:
    """Several subjects as one: all photos first, then all composites."""
    spans = [(p, slice(0, p.photos)) for p in parts]
    spans += [(p, slice(p.photos, None)) for p in parts]
    masks = [p.masks for p in parts if p.masks is not None]
    return PhotoLatents(
        torch.cat([p.latents[views] for p, views in spans]),
        torch.cat([p.weights[views] for p, views in spans]),
        [prompts for p, views in spans for prompts in p.prompts[views]],
        sum(p.photos for p in parts),
        np.concatenate(masks) if len(masks) == len(parts) else None,
    )


class Joint(Learner):
    """Every time anew, on the photos of all sessions so far, for as many steps as they had
    together: what could be had if photos were kept and time did not count."""

    afresh = True

    def session_settings(self, session: Session) -> Settings:
        """All sessions' steps."""
        return self.settings.changed(steps=self.settings.steps * session.number)

    def learn(self, session: Session) -> None:
        """From the untouched base and rows as they begin."""
        self.adapter.load(None)
        set_tokens(self.base, {})
        for s in self.earlier(session):
            insert_token(
                self.base,
                s.token,
                s.class_noun,
                self.settings.token_rows,
                self.settings.token_init,
            )
        super().learn(session)

    def kept_bytes(self) -> int:
        """The photos come on top: without them it cannot learn on."""
        seen = [s for s in self.sessions if s.token in self.base.tokens]
        pixels = [np.asarray(photo.image).nbytes for s in seen for photo in s.photos]
        return super().kept_bytes() + sum(pixels)

    def loop(self, session: Session) -> Callable[..., Loop]:
        """The loop over all photos."""
        others = [
            encode_photos(self.base, s.photos, s.token, s.class_noun, self.settings)
            for s in self.earlier(session)
        ]
        return partial(JointLoop, others=others)
