"""One method on its way through the sessions: what it learns with, what it keeps, who speaks."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.lifelong.protocol import Session
from lfsd.adapter import Adapter
from lfsd.base import BaseModel
from lfsd.context import KEPT_AS, ConceptContext, choose_contexts
from lfsd.learn import LearnedSession, Subject, learn_session
from lfsd.loop import Loop
from lfsd.sampler import Sampling
from lfsd.settings import Settings
from lfsd.tokens import set_tokens, token_rows

Arrays = dict[str, np.ndarray]


class Learner:
    """lfsd itself: one adapter, learned by the engine's own loop. Other methods are subclasses.

    `memory` is what a method carries from session to session beside the adapter; `kept` is what it
    stores for each concept, by token. Both hold numpy arrays, and with the adapter and the tokens'
    rows they are the method's whole state.
    """

    weighs = "distill_weight"
    """Which setting a method's weight (`name@weight`) stands for; "" for the method's own."""
    weight = 1.0
    afresh = False
    """Learns everything from the start each time, so only where all concepts are examined."""

    def __init__(
        self,
        base: BaseModel,
        settings: Settings,
        sessions: Sequence[Session],
        weight: float | None = None,
    ) -> None:
        self.base, self.sessions = base, sessions
        if weight is not None and self.weighs:
            settings = settings.changed(**{self.weighs: weight})
        self.weight = self.weight if weight is None else weight
        set_tokens(base, {})
        self.settings = self.shaped(settings)
        self.adapter = Adapter(base, self.settings)
        self.memory: Arrays = {}
        self.kept: dict[str, Arrays] = {}

    def close(self) -> None:
        """Leave the base as it was."""
        self.adapter.detach()
        set_tokens(self.base, {})

    # what a method may do otherwise

    def shaped(self, settings: Settings) -> Settings:
        """The settings that the adapter is made with."""
        return settings

    def session_settings(self, session: Session) -> Settings:
        """The settings of one session."""
        return self.settings

    def loop(self, session: Session) -> Callable[..., Loop]:
        """What makes the session's training loop."""
        return Loop

    def remember(self, session: Session, learned: LearnedSession) -> None:
        """Keep what the method will need of this session later."""

    def stand(self, token: str | None) -> None:
        """Make the adapter the one that draws prompts with `token`, or without any token."""

    def shared(self) -> Arrays:
        """What the method has once, however many concepts there are, beside token rows."""
        return {f"adapter/{key}": array for key, array in self.adapter.state().items()}

    # the same for all

    def earlier(self, session: Session) -> list[Session]:
        """The sessions before this one."""
        return [s for s in self.sessions if s.number < session.number]

    def learn(self, session: Session) -> None:
        """Learn one session."""
        learned = learn_session(
            self.base,
            self.adapter,
            Subject(
                session.token,
                session.class_noun,
                [(s.token, s.class_noun) for s in self.earlier(session)],
                [c for c in map(self.context, self.earlier(session)) if c is not None],
            ),
            session.photos,
            self.session_settings(session),
            loop=self.loop(session),
        )
        self.kept[session.token] = self._context(learned)
        self.remember(session, learned)

    def _context(self, learned: LearnedSession) -> Arrays:
        """The concept's contexts. Chosen by latents, not by the judge, who only measures here."""
        s, flat = self.settings, learned.latents.reshape(len(learned.latents), -1)
        chosen = choose_contexts(flat, s.contexts, s.context_choice)
        if not chosen:
            return {}
        masks = learned.masks
        blank = np.ones((len(chosen), *learned.latents.shape[2:]), np.float32)
        return {
            "context/latents": learned.latents[chosen].astype(KEPT_AS),
            "context/masks": (blank if masks is None else masks[chosen]).astype(KEPT_AS),
        }

    def context(self, session: Session) -> ConceptContext | None:
        """A concept's contexts, if the method draws with any."""
        kept = self.kept.get(session.token, {})
        if self.settings.icgen == "off" or "context/latents" not in kept:
            return None
        latents, masks = (
            kept[f"context/{part}"].astype(np.float32) for part in ("latents", "masks")
        )
        return ConceptContext(session.token, session.class_noun, latents, masks)

    def sampling(self) -> Sampling:
        """How pictures are drawn, but for their steps."""
        s = self.settings
        return Sampling(
            icgen=s.icgen,
            context_strength=s.context_strength,
            context_fraction=s.context_fraction,
            context_masked=s.context_mask != "off",
            contexts=s.contexts_drawn,
        )

    # state

    def state(self, token: str) -> Arrays:
        """All that a later process needs after the session of `token`, earlier states given."""
        found = {f"adapter/{key}": array for key, array in self.adapter.state().items()}
        for name in self.base.tokens:
            found |= {f"rows/{name}/{i}": a for i, a in enumerate(token_rows(self.base, name))}
        found |= {f"memory/{key}": array for key, array in self.memory.items()}
        return found | {f"kept/{token}/{k}": a for k, a in self.kept.get(token, {}).items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Put a session's state in place; call for every session in turn, or just the next."""
        parts: dict[str, Arrays] = {"adapter": {}, "rows": {}, "memory": {}, "kept": {}}
        for key, array in state.items():
            part, _, rest = key.partition("/")
            parts[part][rest] = array
        self.adapter.load(parts["adapter"])
        rows: dict[str, list[np.ndarray]] = {}
        for key in sorted(parts["rows"], key=lambda k: int(k.rpartition("/")[2])):
            rows.setdefault(key.rpartition("/")[0], []).append(parts["rows"][key])
        ordered = [s.token for s in self.sessions if s.token in rows]
        set_tokens(self.base, {token: rows[token] for token in ordered})
        self.memory = parts["memory"]
        for key, array in parts["kept"].items():
            token, _, rest = key.partition("/")
            self.kept.setdefault(token, {})[rest] = array

    def kept_bytes(self) -> int:
        """What must be stored to draw every concept so far and to learn on."""
        rows = [row for token in self.base.tokens for row in token_rows(self.base, token)]
        stored = [*self.shared().values(), *rows, *self.memory.values()]
        for kept in self.kept.values():
            # contexts are there for a method that takes the states over; one without draws none
            drawn = self.settings.icgen != "off"
            stored += [a for key, a in kept.items() if drawn or not key.startswith("context/")]
        return sum(array.nbytes for array in stored)
