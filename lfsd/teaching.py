"""One lesson: photos in, a measured and committed session out."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lfsd.adapter import STUDENT, Adapter
from lfsd.checkpoint import drop_checkpoint
from lfsd.contact_sheet import contact_sheet
from lfsd.context import KEPT_AS, ConceptContext, choose_contexts
from lfsd.errors import BaseUnavailableError, LfsdError
from lfsd.events import ContactSheet, EventCallback, Notice, PhotoRefused, Stage
from lfsd.generate import library_versions, make_images
from lfsd.learn import LearnedSession, Subject, learn_session, wait_for_everyone
from lfsd.measure import QUICK, SessionState, measure
from lfsd.measure import Subject as Measured
from lfsd.photos import Intake, PreparedPhoto
from lfsd.prompts import concept_words, fill
from lfsd.sampler import Sampling
from lfsd.settings import Settings
from store.records import Context, NewConcept, Photo, Refusal, Row, Session

if TYPE_CHECKING:
    from lfsd.lifelong import LifelongModel

PREVIEW = Sampling(steps=8, icgen="off")
THUMBNAIL_SIDE = 96


class Lesson:
    """Teaches `model` one concept; `run` once. The model's store is open for writing."""

    def __init__(
        self,
        model: "LifelongModel",
        token: str,
        class_noun: str,
        found: Intake,
        settings: Settings,
        on_event: EventCallback,
    ) -> None:
        self.model, self.token, self.noun = model, token, class_noun
        self.found, self.settings, self.on_event = found, settings, on_event
        self.store = model.store
        self.parent = self.store.head
        self.main = self.store.writable
        self.last_preview: Path | None = None

    def run(self, *, resume: bool, should_stop: Callable[[], bool]) -> Session:
        """Learn, choose contexts, measure, commit."""
        self._show_photos()
        self.on_event(Stage("base"))
        base, adapter = self.model.stand_at(self.parent, self.settings)
        self.settings = adapter.settings
        if self.main:
            self._require_space(adapter)
        concepts = self.store.concepts()
        contexts = [c for c in map(self.model.context_of, concepts) if c is not None]
        earlier = [(c.token, c.class_noun) for c in concepts]
        learned = learn_session(
            base,
            adapter,
            Subject(self.token, self.noun, earlier, contexts),
            self.found.photos,
            self.settings,
            on_event=self.on_event,
            should_stop=should_stop,
            work_dir=self._work,
            resume=resume,
            preview=self._preview,
            parent=self.parent.id,
        )
        if self.main:
            self._commit(learned)
        wait_for_everyone()
        return self.store.head

    @property
    def _work(self) -> Path:
        return self.store.home / "work"

    def _require_space(self, adapter: Adapter) -> None:
        """Better now than after hours: room for the checkpoints and the commit."""
        size = sum(p.numel() * 4 for p in adapter.parameters(STUDENT))
        # A checkpoint is the adapter and its two moments, and the old one stays until the new one
        # is on the disk; then the adapter itself.
        self.store.require_space(7 * size, "learning: its checkpoints and the new adapter")

    def _show_photos(self) -> None:
        for refusal in self.found.refused:
            self.on_event(PhotoRefused(refusal.file, refusal.reason))
        for text in self.found.warnings:
            self.on_event(Notice(text))
        if self.main:
            path = self.store.work_dir / "photos.png"
            contact_sheet(self.found.photos, self.found.refused).save(path)
            self.on_event(ContactSheet(path))

    def _preview(self, step: int) -> Path:
        base, adapter = self.model.stand_at_work()
        prompt = fill("a photo of a {}", concept_words(self.token, self.noun))
        with adapter.merged():
            image = make_images(base, [prompt], [self.settings.seed], PREVIEW)[0]
        path = self._work / f"preview-{self.token}-{step}.png"
        image.save(path)
        self.last_preview = path
        return path

    def _commit(self, learned: LearnedSession) -> None:
        reference = self._embed()
        kept = self._contexts(learned, reference)
        metrics = self._metrics(learned, reference, kept)
        self.on_event(Stage("saving"))
        arrays = [*learned.adapter.values(), *(a for each in kept.values() for a in each.values())]
        self.store.require_space(sum(a.nbytes for a in arrays), "saving this session")
        if self.settings.thumbnail:
            first = next(iter(kept))
            kept[first]["thumbnail"] = _thumbnail(self.found.photos[first])
        contexts = tuple(
            Context(self.store.put_tensors(tensors), photo_index=i) for i, tensors in kept.items()
        )
        photos = tuple(Photo(p.name, p.sha256, p.caption) for p in self.found.photos)
        rows = tuple(Row.of(i, self.token, array) for i, array in enumerate(learned.rows))
        session = self.store.commit_learn(
            concept=NewConcept(
                token=self.token,
                class_noun=self.noun,
                photos=photos,
                refused=tuple(Refusal(r.file, r.reason) for r in self.found.refused),
                contexts=contexts,
                rows=rows,
                reference=self.store.put_tensors({"photos": reference})
                if reference is not None
                else None,
            ),
            adapter=self.store.put_tensors(learned.adapter),
            settings=self.settings.to_dict(),
            metrics=metrics,
            versions=library_versions(),
            seconds=learned.seconds,
        )
        drop_checkpoint(self._work)
        if self.last_preview is not None and session.concept is not None:
            with suppress(OSError):  # an ornament: the session is committed
                copyfile(self.last_preview, self._work / f"concept-{session.concept.id}.png")

    def _embed(self) -> np.ndarray | None:
        """The judge's embeddings of the photos; None when there is no judge to be had."""
        try:
            return self.model.judge().subjects([photo.image for photo in self.found.photos])
        except BaseUnavailableError as error:
            self.on_event(Notice(f"nothing will be measured: {error.message}"))
            return None

    def _contexts(
        self, learned: LearnedSession, reference: np.ndarray | None
    ) -> dict[int, dict[str, np.ndarray]]:
        """Photo index -> latent and subject mask, as stored, of the photos to keep as contexts."""
        self.on_event(Stage("contexts"))
        flat = learned.latents.reshape(len(learned.latents), -1)
        features = flat if reference is None else reference
        picked = choose_contexts(features, self.settings.contexts, self.settings.context_choice)
        masks = np.ones_like(learned.latents[:, 0]) if learned.masks is None else learned.masks
        arrays = {"latent": learned.latents.astype(KEPT_AS), "mask": masks.astype(KEPT_AS)}
        return {i: {name: array[i] for name, array in arrays.items()} for i in picked}

    def _metrics(
        self,
        learned: LearnedSession,
        reference: np.ndarray | None,
        kept: dict[int, dict[str, np.ndarray]],
    ) -> dict[str, Any]:
        tail = {name: values[-20:] for name, values in learned.losses.items()}
        timing = {
            "loss": {name: float(np.mean(values)) for name, values in tail.items() if values},
            "seconds_per_step": learned.seconds_per_step,
            "pool_seconds": learned.pool_seconds,
        }
        if reference is None or not self.settings.measure:
            return timing
        self.on_event(Stage("measuring"))
        number = self.parent.number + 1
        context = ConceptContext.of(self.token, self.noun, [*kept.values()])
        mine = Measured(self.token, self.noun, number, reference, context)
        base, adapter = self.model.stand_at_work()
        try:
            report = measure(
                base,
                adapter,
                self.model.judge(),
                [*self.model.subjects(), mine],
                [SessionState(number, lambda: learned.adapter)],
                plan=QUICK,
                sampling=self.model.sampling(self.parent, self.settings),
                focus=[self.token],
                learned=self.model.fidelity_when_learned(),
                on_event=self.on_event,
            )
        except LfsdError as error:
            # hours of learning are not thrown away because a figure could not be had
            self.on_event(Notice(f"not measured: {error.message}"))
            return timing
        return {**report.to_dict(), **timing}


def _thumbnail(photo: PreparedPhoto) -> np.ndarray:
    """The crop the model saw, small: [h,w,3] uint8, pixels alone."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(photo.image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
