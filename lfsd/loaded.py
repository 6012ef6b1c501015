"""The store, and what of it stands in memory: base, adapter, tokens and judge, each loaded once."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfsd.events import EventCallback, Notice, ignore
from lfsd.locate import locate_base, resolve_base
from lfsd.settings import Settings
from store.records import Concept, Session
from store.store import Store

if TYPE_CHECKING:
    from lfsd.adapter import Adapter
    from lfsd.base import BaseModel
    from lfsd.context import ConceptContext
    from lfsd.judge import Judge
    from lfsd.measure import Subject
    from lfsd.sampler import Sampling

SHAPE = ("rank", "alpha", "targets")
"""Settings that the first session fixes, because there is one adapter for life."""


class LoadedModel:
    """A store read session by session, with the model that can be put in the place of any of
    them."""

    def __init__(self, store: Store, device: str = "auto", precision: str = "auto") -> None:
        self._store, self._device, self._precision = store, device, precision
        self._base: BaseModel | None = None
        self._adapter: Adapter | None = None
        self._judge: Judge | None = None
        self._standing: str | None = None  # the session whose tokens and adapter are in place

    @property
    def store(self) -> Store:
        """The store, for reading."""
        return self._store

    @property
    def home(self) -> Path:
        """The store's folder."""
        return self._store.home

    def concepts(self, at: str | None = None) -> list[Concept]:
        """The concepts alive at a session (default: now), in order of learning."""
        return self._store.concepts(at)

    def sessions(self) -> list[Session]:
        """The sessions from the first to where the model stands."""
        return self._store.sessions()

    def stand_at(
        self, session: Session, settings: Settings | None = None
    ) -> "tuple[BaseModel, Adapter]":
        """Base and adapter with the tokens and weights of `session`."""
        from lfsd.adapter import Adapter, fitted
        from lfsd.tokens import set_tokens

        base = self.base()
        settings = fitted(self._lifelong_settings(settings or Settings(), ignore, session), base)
        wanted = [getattr(settings, name) for name in SHAPE]
        if self._adapter is not None:
            if wanted != [getattr(self._adapter.settings, name) for name in SHAPE]:
                self._adapter.detach()
                self._adapter = None
        if self._adapter is None:
            self._adapter, self._standing = Adapter(base, settings), None
        self._adapter.settings = settings
        if self._standing != session.id:
            rows = {
                c.token: [row.array() for row in sorted(c.rows, key=lambda row: row.encoder)]
                for c in self._store.concepts(session.id)
            }
            set_tokens(base, rows)
            self._adapter.load(self.adapter_state(session.adapter))
            self._standing = session.id
        return base, self._adapter

    def stand_at_work(self) -> "tuple[BaseModel, Adapter]":
        """Base and adapter as they are in memory, in the middle of a lesson."""
        assert self._base is not None and self._adapter is not None
        return self._base, self._adapter

    def base(self) -> "BaseModel":
        """The base model, loaded once; BaseMismatchError if it is no longer the one it was."""
        if self._base is None:
            from lfsd.base import BaseModel

            pinned = self._store.base
            found = resolve_base(pinned.id, pinned.revision or None)
            self._store.check_base(found)
            self._base = BaseModel.load(
                pinned.id,
                pinned.revision or None,
                device=self._device,
                precision=self._precision,
                ref=found,
            )
        return self._base

    def judge(self) -> "Judge":
        """The judge that measures, loaded once: the base's own, or pocket's."""
        if self._judge is None:
            from lfsd.judge import Judge

            self._judge = Judge.for_base(self._folder(), self.base().device)
        return self._judge

    def adapter_state(self, sha: str | None) -> "dict[str, Any] | None":
        """The adapter stored as a blob, or None for the untouched base."""
        return None if sha is None else self._store.tensors(sha)

    def context_of(self, concept: Concept) -> "ConceptContext | None":
        """A concept's stored vision contexts, or None if it has none."""
        from lfsd.context import ConceptContext

        stored = [self._store.tensors(context.latents) for context in concept.contexts]
        return ConceptContext.of(concept.token, concept.class_noun, stored)

    def subjects(self) -> "list[Subject]":
        """The living concepts as measuring wants them; those without photo embeddings are left
        out."""
        from lfsd.measure import Subject

        numbers = {s.id: s.number for s in self.sessions()}
        return [
            Subject(
                c.token,
                c.class_noun,
                numbers[c.session],
                self._store.tensors(c.reference)["photos"],
                self.context_of(c),
            )
            for c in self._store.concepts()
            if c.reference is not None
        ]

    def fidelity_when_learned(self) -> dict[str, float]:
        """Each living concept's fidelity in the quick check of its own session.

        Of sessions that were checked as sessions are now: drawn in another way the figure would
        be another one, and pass for forgetting. Scenes, once led (decision 31), do not count.
        """
        from lfsd.measure import QUICK

        tokens = {c.session: c.token for c in self._store.concepts()}
        found = {}
        for session in self.sessions():
            plan = {"context_blend": 0.0, **session.metrics.get("plan", {})}
            plan.pop("subject_guidance", None)
            alike = plan == asdict(QUICK)
            if session.concept is not None and session.id in tokens and alike:
                value = (session.metrics.get("fidelity") or {}).get(session.concept.token)
                if value is not None:
                    found[tokens[session.id]] = float(value)
        return found

    def sampling(
        self, session: Session, settings: Settings | None = None, **changed: Any
    ) -> "Sampling":
        """How pictures are drawn at `session`: as `settings` say, or those it was learned with."""
        from lfsd.sampler import Sampling

        settings = settings or self.settings_at(session)
        said: dict[str, Any] = {}
        if settings is not None:
            said = {
                "icgen": settings.icgen,
                "context_strength": settings.context_strength,
                "context_fraction": settings.context_fraction,
                "context_masked": settings.context_mask != "off",
                "contexts": settings.contexts_drawn,
            }
        return Sampling(**{**said, **changed})

    def _folder(self) -> Path:
        pinned = self._store.base
        return locate_base(pinned.id, pinned.revision or None)

    def settings_at(self, session: Session) -> Settings | None:
        """The settings of the last session up to `session` that learned something."""
        for past in reversed(self._store.sessions(session.id)):
            if past.kind == "learn" and past.settings:
                known = {k: v for k, v in past.settings.items() if k in Settings.__struct_fields__}
                return Settings.from_dict(known)
        return None

    def _lifelong_settings(
        self, settings: Settings, on_event: EventCallback, session: Session | None = None
    ) -> Settings:
        """`settings` with the adapter's shape as the store's first session fixed it."""
        past = self.settings_at(session or self._store.head)
        if past is None:
            return settings
        default = Settings()
        for name in SHAPE:
            mine, theirs = getattr(settings, name), getattr(past, name)
            if mine not in (theirs, getattr(default, name)):
                on_event(Notice(f"{name} stays {theirs}: the first session fixed it"))
        return settings.changed(**{name: getattr(past, name) for name in SHAPE})
