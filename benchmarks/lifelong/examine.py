"""What is measured after a session: the same pictures, the same judge, for every method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.protocol import Protocol, Session
from lfsd.base import BaseModel
from lfsd.events import ignore
from lfsd.figures import (
    confused_photos,
    cosines,
    fidelity,
    nearest_shares,
    paired_similarity,
    toward,
)
from lfsd.generate import bank_for, make_images
from lfsd.judge import Judge
from lfsd.measure import PLAIN, Examiner, Subject, prediction_drift
from lfsd.prompts import concept_words, fill
from lfsd.sampler import Sampling


def diversity(pictures: np.ndarray) -> float:
    """Mean distance (1 - cosine) over all pairs of embeddings [n,d]; 0 for a single one."""
    pairs = np.triu_indices(len(pictures), 1)
    return float(1 - cosines(pictures, pictures)[pairs].mean()) if len(pictures) > 1 else 0.0


class Examination:
    """One protocol's judge, photos and prompts, for any number of methods."""

    def __init__(
        self, base: BaseModel, judge: Judge, protocol: Protocol, sessions: Sequence[Session]
    ) -> None:
        self.base, self.judge, self.protocol, self.sessions = base, judge, protocol, sessions
        self.references = {s.token: judge.subjects([p.image for p in s.photos]) for s in sessions}
        self._untouched: dict[str, np.ndarray] = {}

    def after(
        self, learner: Learner, number: int, first: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """A line's figures, and embeddings of the pictures behind them by token.

        `first` are the earlier concepts' pictures when each was just learned, by token.
        """
        seen = [s for s in self.sessions if s.number <= number]
        chosen = seen if self.protocol.examined(number) else seen[-1:]
        subjects = [self.subject(learner, s) for s in chosen]
        run = self._examiner(learner)
        drawn, scenes = {}, {}
        for subject in subjects:
            learner.stand(subject.token)
            with learner.adapter.merged():
                drawn[subject.token] = run.concept(subject)
                scenes[subject.token] = run.scenes(subject)
        figures = self._concepts(drawn, first, [s.token for s in seen])
        figures["text_alignment"] = mean(raw for raw, _ in scenes.values())
        figures["scene_accuracy"] = mean(share for _, share in scenes.values())
        if chosen is seen:
            figures["rcf"] = self._classes(learner, run, seen)
        return figures, drawn

    def sheet(self, learner: Learner, session: Session) -> Image.Image:
        """The protocol's prompts of one concept side by side, as the method draws them now."""
        subject = self.subject(learner, session)
        words = concept_words(session.token, session.class_noun)
        prompts = [fill(prompt, words) for prompt in self.protocol.sheet]
        plan = self.protocol.plan
        sampling = plan.drawn(learner.sampling())
        learner.stand(session.token)
        with learner.adapter.merged():
            bank = bank_for(self.base, [subject.context] if subject.context else [], sampling)
            seeds = [plan.seed] * len(prompts)
            images = make_images(self.base, prompts, seeds, sampling, bank=bank)
        return side_by_side(images)

    def _examiner(self, learner: Learner | None) -> Examiner:
        sampling = Sampling() if learner is None else learner.sampling()
        return Examiner(self.base, self.judge, self.protocol.plan, sampling, ignore, 0)

    def subject(self, learner: Learner, session: Session) -> Subject:
        """A concept as the method draws it."""
        return Subject(
            session.token,
            session.class_noun,
            session.number,
            self.references[session.token],
            learner.context(session),
        )

    def _concepts(
        self,
        drawn: Mapping[str, np.ndarray],
        first: Mapping[str, np.ndarray],
        seen: Sequence[str],
    ) -> dict[str, Any]:
        """Fidelity, confusion and, for earlier concepts, what was lost since they were learned."""
        known = {token: self.references[token] for token in seen}
        now = {token: fidelity(pictures, known[token]) for token, pictures in drawn.items()}
        pcf = {
            token: {
                "change": now[token] - fidelity(first[token], known[token]),
                "similarity": paired_similarity(drawn[token], first[token]),
            }
            for token in drawn
            if token in first
        }
        return {
            "fidelity": now,
            "new": now[seen[-1]],
            "taken_for": nearest_shares(drawn, known),
            "photos_confused": confused_photos(known),
            "pcf": pcf,
        }

    def _classes(
        self, learner: Learner, run: Examiner, seen: Sequence[Session]
    ) -> dict[str, dict[str, float]]:
        """What became of every class noun that was taught."""
        nouns = list(dict.fromkeys(s.class_noun for s in seen))
        learner.stand(None)
        prompts = [fill(PLAIN, noun) for noun in nouns]
        drift = prediction_drift(self.base, learner.adapter, prompts, self.protocol.plan)
        found = {}
        for noun, prompt in zip(nouns, prompts, strict=True):
            before = self._before(learner, noun)
            with learner.adapter.merged():
                now = run.class_noun(noun)
            references = [self.references[s.token] for s in seen if s.class_noun == noun]
            found[noun] = {
                "drift": drift[prompt],
                # the worst of the noun's concepts, so that one stolen by V2 is not averaged away
                "toward": max(toward(now, before, r) for r in references),
                "away": 1 - paired_similarity(now, before),
                "diversity": diversity(now),
                "diversity_before": diversity(before),
            }
        return found

    def _before(self, learner: Learner, noun: str) -> np.ndarray:
        """The untouched base's pictures of a class noun, drawn once for all methods."""
        if noun not in self._untouched:
            with learner.adapter.as_base():
                self._untouched[noun] = self._examiner(None).class_noun(noun)
        return self._untouched[noun]


def side_by_side(images: Sequence[Image.Image]) -> Image.Image:
    """One row of pictures of one height."""
    row = Image.new("RGB", (sum(i.width for i in images), images[0].height))
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width
    return row


def save_photos(sessions: Sequence[Session], folder: Path) -> None:
    """The first photo of every concept, for the contact sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    for session in sessions:
        session.photos[0].image.convert("RGB").save(folder / f"{session.token}.png")
