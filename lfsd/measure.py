"""Measuring a lifelong model: draw with fixed seeds, let the judge look, compare with the past."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from PIL import Image

from lfsd.adapter import Adapter, State
from lfsd.base import BaseModel
from lfsd.context import ConceptContext
from lfsd.errors import LfsdError
from lfsd.events import EventCallback, Measured, ignore
from lfsd.events import Sampling as SamplingEvent
from lfsd.figures import (
    Cell,
    Report,
    fidelity,
    nearest_shares,
    paired_similarity,
    scene_accuracy,
    squared_drift,
    text_alignment,
    toward,
)
from lfsd.generate import bank_for, in_batches, latent_shape, make_images
from lfsd.judge import Judge
from lfsd.prompts import SCENES, concept_words, fill
from lfsd.sampler import Sampling, build_scheduler, picture_noise

PLAIN = "a photo of a {}"

AT_ONCE = 4
"""Prompts whose predictions are compared at once: memory must not grow with every class noun that
was taught. (On a CPU oneDNN keeps kernels for each size of a batch, on pocket 20 MB for each.)
"""


@dataclass(frozen=True)
class Subject:
    """A living concept: its photos' embeddings [m,d], and the session that learned it."""

    token: str
    class_noun: str
    session: int
    reference: np.ndarray
    context: ConceptContext | None = None

    @property
    def words(self) -> str:
        """ "V1 cat"."""
        return concept_words(self.token, self.class_noun)


@dataclass(frozen=True)
class SessionState:
    """A session's number and how to get its adapter (None: the untouched base)."""

    number: int
    adapter: Callable[[], State | None]


@dataclass(frozen=True)
class Plan:
    """How much is drawn. Figures are comparable only under the same plan."""

    pictures: int = 4
    """Pictures per concept and per class noun."""
    scenes: int = 4
    """Scene prompts per concept, one picture each; accuracy is always among all scenes."""
    steps: int = 20
    guidance: float = 5.0
    guidance_fraction: float | None = None
    context_blend: float | None = 0.0
    """Both as `Sampling` has them. Blended pictures would show the photos' shapes, not what the
    model still knows of them."""
    drift_steps: int = 25
    drift_every: int = 1
    """Compare predictions at every so many steps of the base's trajectory."""
    concepts: int | None = None
    """Draw so many concepts at most: the newest and a spread of the others. None is all."""
    seed: int = 1000

    def drawn(self, sampling: Sampling) -> Sampling:
        """`sampling` as this plan draws."""
        return replace(
            sampling,
            steps=self.steps,
            guidance=self.guidance,
            guidance_fraction=self.guidance_fraction,
            context_blend=self.context_blend,
        )


QUICK = Plan(pictures=2, scenes=2, steps=8, drift_steps=10, drift_every=2, concepts=6)


def some_subjects(subjects: Sequence[Subject], limit: int | None) -> list[Subject]:
    """The newest subject and an even spread of the others, oldest included, in their order."""
    if limit is None or len(subjects) <= limit:
        return list(subjects)
    picked = np.linspace(0, len(subjects) - 1, max(limit, 1)).round().astype(int)
    return [subjects[i] for i in ([-1] if limit <= 1 else picked)]


def prediction_drift(
    base: BaseModel, adapter: Adapter, prompts: Sequence[str], plan: Plan
) -> dict[str, float]:
    """Mean squared difference of the model's predictions from the base's, per prompt.

    Both predict the same latents: those of the base's own DDIM trajectory without guidance. Raises
    LfsdError if the adapter holds weights and yet every difference is exactly 0.
    """

    def some(start: int, count: int) -> list[float]:
        return _drift(base, adapter, prompts[start : start + count], plan)

    drift = in_batches(len(prompts), AT_ONCE, some)
    check_switched(adapter, drift)
    return dict(zip(prompts, drift, strict=True))


@torch.no_grad()
def _drift(base: BaseModel, adapter: Adapter, prompts: Sequence[str], plan: Plan) -> list[float]:
    text = base.encode_text(prompts)
    scheduler = build_scheduler(base.scheduler_config, "ddim")
    scheduler.set_timesteps(plan.drift_steps, device=base.device)
    latents = picture_noise(plan.seed, 1, latent_shape(base)).to(base.device)
    latents = latents.expand(len(prompts), -1, -1, -1)
    compared: list[tuple[torch.Tensor, int]] = []
    before, now = [], []
    with adapter.as_base():
        for index, t in enumerate(scheduler.timesteps.tolist()):
            predicted = base.predict(latents, t, text)
            if index % plan.drift_every == 0:
                compared.append((latents, t))
                before.append(predicted.cpu().numpy())
            latents = scheduler.step(predicted, t, latents, return_dict=False)[0]
    with adapter.merged():
        for latents, t in compared:
            now.append(base.predict(latents, t, text).cpu().numpy())
    return squared_drift(np.stack(now), np.stack(before)).tolist()


def check_switched(adapter: Adapter, drift: Sequence[float]) -> None:
    """LfsdError if drift is exactly 0 although the adapter is not: it was never switched on."""
    trained = any(a.any() for key, a in adapter.state().items() if key.endswith("lora_B.weight"))
    if trained and drift and not any(drift):
        raise LfsdError(
            "measured a drift of exactly 0 with a trained adapter: it was not switched on",
            "this is a fault in lfsd, not in your photos",
        )


class Examiner:
    """Draws from the model as it stands and lets the judge look: one measurement's fixed side."""

    def __init__(
        self,
        base: BaseModel,
        judge: Judge,
        plan: Plan,
        sampling: Sampling,
        on_event: EventCallback,
        total: int,
    ) -> None:
        self.base, self.judge, self.plan, self.on_event = base, judge, plan, on_event
        self.sampling = plan.drawn(sampling)
        self.drawn, self.total = 0, total

    def draw(
        self, prompts: Sequence[str], subject: Subject | None, first_seed: int = 0
    ) -> list[Image.Image]:
        """One picture per prompt, with the subject's contexts."""
        contexts = [subject.context] if subject is not None and subject.context else []
        seeds = [self.plan.seed + first_seed + i for i in range(len(prompts))]
        bank = bank_for(self.base, contexts, self.sampling)
        images = make_images(self.base, prompts, seeds, self.sampling, bank=bank)
        self.drawn += 1
        self.on_event(SamplingEvent(self.drawn, max(self.total, self.drawn)))
        return images

    def concept(self, subject: Subject) -> np.ndarray:
        """What pictures of "a photo of a V1 cat" show, as embeddings [n,d]."""
        prompts = [fill(PLAIN, subject.words)] * self.plan.pictures
        return self.judge.subjects(self.draw(prompts, subject))

    def class_noun(self, noun: str) -> np.ndarray:
        """What pictures of plain "a photo of a cat" show, as embeddings [n,d]."""
        return self.judge.subjects(self.draw([fill(PLAIN, noun)] * self.plan.pictures, None))

    def scenes(self, subject: Subject) -> tuple[float, float]:
        """Text alignment and scene accuracy of "a photo of a V1 cat on a beach" and so on."""
        labels = list(range(min(self.plan.scenes, len(SCENES))))
        prompts = [f"{fill(PLAIN, subject.words)} {SCENES[i]}" for i in labels]
        images = self.judge.images(self.draw(prompts, subject, first_seed=100))
        texts = self.judge.texts([f"{fill(PLAIN, subject.class_noun)} {s}" for s in SCENES])
        return text_alignment(images, texts, labels), scene_accuracy(images, texts, labels)


def measure(
    base: BaseModel,
    adapter: Adapter,
    judge: Judge,
    subjects: Sequence[Subject],
    sessions: Sequence[SessionState],
    *,
    plan: Plan | None = None,
    sampling: Sampling | None = None,
    focus: Sequence[str] | None = None,
    learned: Mapping[str, float] | None = None,
    on_event: EventCallback = ignore,
) -> Report:
    """Measure living concepts after each given session; the last one is the head.

    The base holds all subjects' tokens. `focus` limits scene and class noun pictures to some
    tokens (prediction drift is still measured for all nouns); `learned` gives a concept's fidelity
    as it was just learned (under the same plan) when that session is not among those given. The
    adapter is as before afterwards.
    """
    started = time.monotonic()
    plan = plan or Plan()
    references = {s.token: s.reference for s in subjects}
    subjects = some_subjects(subjects, plan.concepts)
    drawings = sum(s.session <= state.number for state in sessions for s in subjects)
    chosen = [s for s in subjects if focus is None or s.token in focus]
    total = drawings + len(chosen) + 2 * len({s.class_noun for s in chosen})
    run = Examiner(base, judge, plan, sampling or Sampling(), on_event, total)
    kept = adapter.state()
    try:
        pictures = _draw_sessions(run, adapter, subjects, sessions)
        # the adapter now is the head's
        with adapter.merged():
            scenes = {s.token: run.scenes(s) for s in chosen}
        rcf = _relevant_forgetting(run, adapter, subjects, chosen)
    finally:
        adapter.load(kept)
    head = pictures[sessions[-1].number] if sessions else {}
    figures = {s.token: fidelity(head[s.token], s.reference) for s in subjects if s.token in head}
    for token, value in figures.items():
        on_event(Measured(f"fidelity {token}", value))
    return Report(
        quick=plan == QUICK,
        tokens=tuple(s.token for s in subjects),
        sessions=tuple(state.number for state in sessions),
        fidelity=figures,
        text_alignment={token: raw for token, (raw, _) in scenes.items()},
        scene_accuracy={token: share for token, (_, share) in scenes.items()},
        pcf=_previous_forgetting(subjects, pictures, figures, learned or {}),
        rcf=rcf,
        confusion=nearest_shares(head, references),
        matrix=tuple(_matrix_row(subjects, pictures[state.number]) for state in sessions),
        judge=judge.fingerprint,
        seconds=time.monotonic() - started,
        plan=asdict(plan),
    )


def _draw_sessions(
    run: Examiner, adapter: Adapter, subjects: Sequence[Subject], sessions: Sequence[SessionState]
) -> dict[int, dict[str, np.ndarray]]:
    """Session number -> token -> embeddings of that concept's pictures then."""
    drawn: dict[int, dict[str, np.ndarray]] = {}
    for state in sessions:
        adapter.load(state.adapter())
        with adapter.merged():
            drawn[state.number] = {
                s.token: run.concept(s) for s in subjects if s.session <= state.number
            }
    return drawn


def _matrix_row(
    subjects: Sequence[Subject], pictures: Mapping[str, np.ndarray]
) -> tuple[Cell, ...]:
    return tuple(
        fidelity(pictures[s.token], s.reference) if s.token in pictures else None for s in subjects
    )


def _previous_forgetting(
    subjects: Sequence[Subject],
    pictures: Mapping[int, Mapping[str, np.ndarray]],
    now: Mapping[str, float],
    learned: Mapping[str, float],
) -> dict[str, dict[str, float]]:
    """PCF of every concept learned before the head, as far as its beginnings are known."""
    last = max(pictures, default=0)
    found: dict[str, dict[str, float]] = {}
    for s in subjects:
        if s.session >= last or s.token not in now:
            continue
        if s.session in pictures:
            then = pictures[s.session][s.token]
            found[s.token] = {
                "change": now[s.token] - fidelity(then, s.reference),
                "similarity": paired_similarity(pictures[last][s.token], then),
            }
        elif s.token in learned:
            found[s.token] = {"change": now[s.token] - learned[s.token]}
    return found


def _relevant_forgetting(
    run: Examiner, adapter: Adapter, subjects: Sequence[Subject], drawn: Sequence[Subject]
) -> dict[str, dict[str, float]]:
    """RCF of every class noun at the adapter's present state; pictures for those of `drawn`."""
    nouns = list(dict.fromkeys(s.class_noun for s in subjects))
    if not nouns:
        return {}
    drift = prediction_drift(run.base, adapter, [fill(PLAIN, n) for n in nouns], run.plan)
    found = {noun: {"drift": drift[fill(PLAIN, noun)]} for noun in nouns}
    for noun in dict.fromkeys(s.class_noun for s in drawn):
        with adapter.merged():
            now = run.class_noun(noun)
        with adapter.as_base():
            before = run.class_noun(noun)
        of_noun = [s.reference for s in subjects if s.class_noun == noun]
        # the worst of the noun's concepts, so that one stolen by V2 is not averaged away
        found[noun]["toward"] = max(toward(now, before, reference) for reference in of_noun)
        found[noun]["away"] = 1 - paired_similarity(now, before)
    for noun, figures in found.items():
        run.on_event(Measured(f"drift {noun}", figures["drift"]))
    return found
