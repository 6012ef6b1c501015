"""LifelongModel: one base, one adapter, one store; the only thing that front ends use.

torch is imported when something is learned, drawn or measured, and not before.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfsd.errors import StoreBusyError, UsageError
from lfsd.events import EventCallback, Notice, Stage, ignore
from lfsd.loaded import LoadedModel
from lfsd.locate import POCKET, native_resolution, resolve_base
from lfsd.settings import Settings
from store.lock import Wait
from store.records import Concept, Session
from store.store import Store

if TYPE_CHECKING:
    from lfsd.generate import Picture
    from lfsd.measure import Report
    from lfsd.photos import Intake


class LifelongModel(LoadedModel):
    """A text-to-image model that is taught one subject after another and keeps them all.

    Reading needs no lock; what changes the store takes its writer lock for as long as it lasts.
    """

    @classmethod
    def create(
        cls,
        home: Path,
        base: str = POCKET,
        revision: str | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> "LifelongModel":
        """Make a store in `home`, pinned to `base`: "pocket", a folder or a hub id.

        BaseUnavailableError if there is no such base; UsageError if there is a store already.
        """
        if Store.exists(home):
            raise UsageError(
                f"there is a store in {home} already", "use it, or name another --home"
            )
        Store.create(home, resolve_base(base, revision)).close()
        return cls.open(home, device=device, precision=precision)

    @classmethod
    def open(cls, home: Path, *, device: str = "auto", precision: str = "auto") -> "LifelongModel":
        """Open the store in `home`; NotFoundError if there is none."""
        return cls(Store.open(home), device, precision)

    def close(self) -> None:
        """Let go of the store and the model."""
        self._store.close()
        self._base = self._adapter = self._judge = None

    def __enter__(self) -> "LifelongModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what changes the store

    def preflight(
        self,
        photos: Sequence[Path],
        token: str,
        class_noun: str,
        captions: Path | None = None,
        *,
        settings: Settings | None = None,
        strict: bool = False,
    ) -> "Intake":
        """What `learn` would use and refuse; nothing is learned. Raises as `learn` would."""
        from lfsd.photos import intake

        self._check_token(token)
        if not class_noun.strip():
            raise UsageError("the class is empty", "name it plainly: --class dog")
        settings = settings or Settings()
        return intake(
            photos,
            resolution=settings.resolution or native_resolution(self._folder()),
            captions=captions,
            class_noun=class_noun,
            strict=strict,
            brighten=settings.brighten,
        )

    def learn(
        self,
        photos: Sequence[Path],
        *,
        token: str,
        class_noun: str,
        settings: Settings | None = None,
        captions: Path | None = None,
        strict: bool = False,
        resume: bool = False,
        wait: bool = False,
        on_event: EventCallback = ignore,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Session:
        """Teach a new concept and commit it as one session, measured.

        `wait` until another writer has finished, instead of StoreBusyError at once.
        Raises UsageError (token, class, no usable photo), PhotosRefusedError (`strict`),
        StoreBusyError, InterruptedLearning (after a checkpoint, when `should_stop` says so).
        Under `accelerate launch` every process calls this; the main one alone writes.
        """
        from lfsd.teaching import Lesson

        settings = self._lifelong_settings(settings or Settings(), on_event)
        class_noun = " ".join(class_noun.split())
        with self._writer(_patience(on_event, should_stop) if wait else None):
            on_event(Stage("photos"))
            found = self.preflight(
                photos, token, class_noun, captions, settings=settings, strict=strict
            )
            try:
                lesson = Lesson(self, token, class_noun, found, settings, on_event)
                return lesson.run(resume=resume, should_stop=should_stop)
            finally:
                # whatever is in memory now, the store decides what comes next
                self._standing = None

    def remove(self, token: str) -> Session:
        """Forget a concept: its token, rows and contexts are no longer used. `undo` brings it
        back."""
        with self._writer() as store:
            return store.commit_rm(token)

    def rename(self, old: str, new: str) -> Session:
        """Give a concept another token; what was learned stays as it is."""
        with self._writer() as store:
            self._check_token(new, own=old)
            return store.commit_rename(old, new)

    def undo(self) -> Session:
        """Go back one session; adapter, rows and contexts are bit for bit those of before."""
        with self._writer() as store:
            return store.undo()

    def goto(self, ref: str) -> Session:
        """Stand at another session: a number, an id, HEAD~2."""
        with self._writer() as store:
            return store.goto(ref)

    # what draws

    def generate(
        self,
        prompt: str,
        *,
        n: int = 1,
        seed: int | None = None,
        steps: int = 30,
        guidance: float | None = None,
        context: bool = True,
        context_strength: float | None = None,
        as_of: str | None = None,
        negative: str = "",
        on_event: EventCallback = ignore,
        live: Path | None = None,
        **sampling: Any,
    ) -> "list[Picture]":
        """Draw `n` pictures; tokens in the prompt, as whole words, bring their concepts.

        `as_of` draws with the model as it was after that session; `live` is where a picture under
        way is kept as a PNG; further keywords are fields of `lfsd.sampler.Sampling`. NotFoundError
        if there is no such session.
        """
        from lfsd.generate import generate

        session = self._store.session(as_of or "HEAD")
        concepts = self._store.concepts(session.id)
        used = self._find(prompt, concepts, on_event)
        base, adapter = self.stand_at(session)
        chosen = self.sampling(session, steps=steps, negative=negative, **sampling)
        chosen = _replace(chosen, guidance=guidance, context_strength=context_strength)
        if not context:
            chosen = _replace(chosen, icgen="off")
        on_event(Stage("sampling"))
        return generate(
            base,
            adapter,
            prompt,
            n=n,
            seed=seed,
            sampling=chosen,
            contexts=[c for c in map(self.context_of, used) if c is not None],
            concepts=[concept.token for concept in used],
            session={"id": session.id, "number": session.number},
            on_event=on_event,
            live=live,
        )

    def measure(
        self, quick: bool = False, on_event: EventCallback = ignore, *, context: bool = True
    ) -> "Report":
        """Measure every concept after every session (quick: as the model stands now, fewer
        pictures); without its vision contexts when `context` is off."""
        from lfsd.measure import QUICK, Plan, SessionState, measure

        head = self._store.head
        base, adapter = self.stand_at(head)
        alive = {c.id for c in self._store.concepts()}
        line = [s for s in self.sessions() if s.concept is not None and s.concept.id in alive]
        states = [
            SessionState(s.number, lambda sha=s.adapter: self.adapter_state(sha))
            for s in line
            if s.adapter is not None and self._store.has_blob(s.adapter)  # else collected
        ]
        if line and line[-1].adapter == head.adapter:
            states = states[-1:] if quick else states
        elif line:
            now = SessionState(head.number, lambda: self.adapter_state(head.adapter))
            states = [now] if quick else [*states, now]
        on_event(Stage("measuring"))
        try:
            return measure(
                base,
                adapter,
                self.judge(),
                self.subjects(),
                states,
                plan=QUICK if quick else Plan(),
                sampling=self.sampling(head, **({} if context else {"icgen": "off"})),
                learned=self.fidelity_when_learned() if quick else None,
                on_event=on_event,
            )
        finally:
            self._standing = None

    # helpers

    @contextmanager
    def _writer(self, wait: Wait | None = None) -> Iterator[Store]:
        """The store open for writing, in the main process; the others go on reading."""
        if self._store.writable or int(os.environ.get("RANK", "0")):
            yield self._store
            return
        home = self._store.home
        self._store.close()  # LMDB wants an environment opened once per process
        try:
            self._store = Store.open(home, write=True, wait=wait)
            yield self._store
        finally:
            self._store.close()
            self._store = Store.open(home)

    def _check_token(self, token: str, own: str | None = None) -> None:
        from lfsd.tokens import check_token, load_tokenizers

        taken = [c.token for c in self._store.concepts() if c.token != own]
        check_token(token, load_tokenizers(self._folder()), taken)
        if own is None:
            self._store.check_token(token)

    def _find(
        self, prompt: str, concepts: Sequence[Concept], on_event: EventCallback
    ) -> list[Concept]:
        from lfsd.words import find_tokens

        by_token: Mapping[str, Concept] = {c.token: c for c in concepts}
        found = find_tokens(prompt, list(by_token))
        for word, meant in found.unsure:
            told = f"; did you mean {meant}?" if meant else ""
            on_event(Notice(f"{word} in the prompt is no concept known here{told}"))
        used = [by_token[token] for token in found.known]
        for concept in used:
            if concept.class_noun.lower() not in prompt.lower():
                words = f"{concept.token} {concept.class_noun}"
                on_event(Notice(f'the class noun belongs in the prompt: "a {words}"'))
        return used


def _patience(on_event: EventCallback, should_stop: Callable[[], bool]) -> Wait:
    """Wait for the writer lock: say once for whom, and stop when told to."""
    said: list[str] = []

    def go_on(busy: StoreBusyError) -> bool:
        if not said:
            said.append(busy.message)
            on_event(Notice(f"waiting: {busy.message}"))
        return not should_stop()

    return go_on


def _replace(sampling: Any, **changed: Any) -> Any:
    from dataclasses import replace

    return replace(sampling, **{k: v for k, v in changed.items() if v is not None})
