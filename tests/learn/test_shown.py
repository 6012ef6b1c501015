"""A context shown while learning: it changes what is learned, and only the photos see it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfsd.adapter import Adapter
from lfsd.base import BaseModel
from lfsd.data import Draw, PhotoLatents, draw_batch, encode_photos
from lfsd.errors import InterruptedLearning, UsageError
from lfsd.events import Event, Step
from lfsd.learn import LearnedSession, learn_session
from lfsd.loop import Subject
from lfsd.pool import encode_prompts
from lfsd.settings import Settings
from lfsd.shown import Shown, ShownContexts
from lfsd.student import Batch, Student
from lfsd.tokens import insert_token
from tests.learn.photos import disc_photos
from tests.tiny import LAYOUTS, tiny_base

OFF = Settings(
    rank=4,
    alpha=4.0,
    steps=5,
    batch=3,
    distill_steps=4,
    lr_adapter=1e-2,
    checkpoint_every=0,
    contexts=1,
)
ON = OFF.changed(context_in_training=True, context_fraction=1.0)


def learn(layout: str, settings: Settings, count: int = 3, **further: Any) -> LearnedSession:
    base = BaseModel.load(tiny_base(layout), device="cpu", precision="float32")
    adapter, photos = Adapter(base, settings), disc_photos(count, settings.resolution or 32)
    return learn_session(base, adapter, Subject("V1", "cat"), photos, settings, **further)


@pytest.fixture(scope="module")
def learned_on() -> LearnedSession:
    return learn("pocket", ON)


@pytest.fixture(scope="module")
def learned_off() -> LearnedSession:
    return learn("pocket", OFF)


def same(a: LearnedSession, b: LearnedSession) -> bool:
    return all(np.array_equal(a.adapter[k], b.adapter[k]) for k in a.adapter) and all(
        np.array_equal(x, y) for x, y in zip(a.rows, b.rows, strict=True)
    )


class Lesson:
    """What the loop works with, made once per layout."""

    def __init__(self, settings: Settings = ON, layout: str = "pocket", count: int = 3) -> None:
        self.base = BaseModel.load(tiny_base(layout), device="cpu", precision="float32")
        self.rows = insert_token(self.base, "V1", "cat", 1)
        photos = disc_photos(count)
        self.data: PhotoLatents = encode_photos(self.base, photos, "V1", "cat", settings)
        self.settings = settings
        self.shown = ShownContexts(self.base, self.data, "V1", "cat", settings)

    def draw(self, step: int, size: int = 4) -> tuple[Draw, Shown | None]:
        total = self.base.num_train_timesteps
        draw = draw_batch(self.data, self.settings, ("V1", "step", step), total, size)
        return self.shown.draw(draw, ("V1", "context", step))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_learns_with_a_context(layout: str) -> None:
    done = learn(layout, ON.changed(steps=1))
    assert np.isfinite(done.losses["dm"]).all()
    assert any(v.any() for k, v in done.adapter.items() if "lora_B" in k)


def test_switch_and_strength_change_what_is_learned(
    learned_on: LearnedSession, learned_off: LearnedSession
) -> None:
    assert same(learned_on, learn("pocket", ON))
    assert not same(learned_on, learned_off)
    # the same draws, so what differs is what the photos saw
    assert not same(learned_on, learn("pocket", ON.changed(context_strength=1e-5)))


@pytest.mark.parametrize(
    "changed", [{"icgen": "off"}, {"contexts": 0}, {"context_strength": 0.0}], ids=str
)
def test_nothing_is_shown_where_generation_shows_nothing(
    changed: dict[str, Any], learned_off: LearnedSession
) -> None:
    assert same(learn("pocket", ON.changed(**changed)), learned_off)


def test_one_photo_is_no_context_of_itself() -> None:
    assert same(learn("pocket", ON, count=1), learn("pocket", OFF, count=1))


def test_canvas_is_refused() -> None:
    with pytest.raises(UsageError, match="canvas"):
        ON.changed(icgen="canvas")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_photos_under_their_prompt_see_the_context(layout: str) -> None:
    lesson = Lesson(layout=layout)
    base, side = lesson.base, lesson.data.latents.shape[2:]
    student = Student(base, lesson.rows)
    rng = torch.Generator().manual_seed(0)
    noisy = torch.randn(5, *side, generator=rng)
    # two photos, one of them dropped, and three pooled latents
    t, dropped = torch.tensor([700, 700, 100, 500, 900]), torch.tensor([False, True])
    draw = Draw(
        torch.zeros(2).long(), torch.zeros(2).long(), t[:2], noisy[:2], dropped, torch.zeros(2)
    )
    known = encode_prompts(base, ["", "a cat", "a dog"]).states
    prompts = [lesson.shown.prompt]

    def predict(context: int | None) -> torch.Tensor:
        noise = torch.randn(side, generator=torch.Generator().manual_seed(5))
        row = None if context is None else lesson.shown.row(Shown(context, noise), draw)
        assert row is None or (row.rows == 1 and row.weights.weights.amax() > 0.4)
        which, empty = torch.zeros(2).long(), known[[0]]
        batch = Batch(noisy, t, prompts, which, dropped, empty, known[[0, 1, 2]], row)
        with torch.no_grad():
            return student(batch)

    without, first, second = predict(None), predict(1), predict(2)
    assert without.shape == first.shape == noisy.shape
    assert (first[0] - without[0]).abs().max() > 1e-4
    assert (first[0] - second[0]).abs().max() > 1e-5
    # the same shapes of work, so the same bits
    assert torch.equal(first[1:], second[1:])
    torch.testing.assert_close(first[1:], without[1:], atol=1e-5, rtol=1e-4)


def test_gradient_reaches_the_token_through_the_context_row() -> None:
    lesson = Lesson()
    adapter, student = Adapter(lesson.base, ON), Student(lesson.base, lesson.rows)
    adapter.trainable(True)
    # with every photo under another prompt, the token's row is heard through the context alone
    draw, shown = lesson.draw(0)
    row = lesson.shown.row(shown, draw._replace(dropped=torch.zeros(4).bool()))
    assert row is not None
    empty = encode_prompts(lesson.base, [""]).states
    seen = torch.zeros(4).bool()
    which = torch.ones(4).long()
    batch = Batch(draw.noise, draw.t, [row.prompt, "a dog"], which, seen, empty, None, row)
    student(batch).square().mean().backward()
    assert lesson.rows[0].grad is not None and lesson.rows[0].grad.abs().max() > 0


@pytest.mark.parametrize("composites", [0.0, 0.6])
def test_draws_share_a_timestep_and_leave_the_context_out(composites: float) -> None:
    lesson = Lesson(ON.changed(composites=composites, guidance_dropout=0.4))
    photos, total = lesson.data.photos, lesson.base.num_train_timesteps
    each = (len(lesson.data.latents) - photos) // photos
    contexts, views = set(), set()
    for step in range(60):
        draw, shown = lesson.draw(step)
        assert shown is not None
        assert len(set(draw.t.tolist())) == 1
        source = torch.where(
            draw.view < photos, draw.view, (draw.view - photos) // each if each else draw.view
        )
        assert shown.photo not in source.tolist()
        assert draw.dropped.tolist() == sorted(draw.dropped.tolist()), "dropped rows come last"
        row = lesson.shown.row(shown, draw)
        assert (row is None) == bool(draw.dropped.all())
        contexts.add(shown.photo)
        views |= set(draw.view.tolist())
    assert contexts == set(range(photos))
    assert views == set(range(len(lesson.data.latents)))
    assert 0 <= draw.t.min() and draw.t.max() < total


@pytest.mark.parametrize("fraction", [0.2, 0.6, 0.95])
@pytest.mark.parametrize(
    ("timesteps", "expected"),
    [("uniform", (0.2, 0.2, 0.2, 0.2, 0.2)), ("shapes", (0.1, 0.1, 0.3, 0.3, 0.2))],
)
def test_fraction_keeps_contexts_to_the_clear_steps(
    timesteps: str, expected: tuple[float, ...], fraction: float
) -> None:
    lesson = Lesson(ON.changed(context_fraction=fraction, timesteps=timesteps))
    total, times = lesson.base.num_train_timesteps, list[int]()
    limit = fraction * total
    for step in range(300):
        draw, shown = lesson.draw(step)
        assert bool((draw.t < limit).all()) == (shown is not None)
        assert shown is not None or bool((draw.t >= limit).all())
        times += draw.t.tolist()
    # t stays where `timesteps` wants it: 1200 values, 300 of them free
    shares = np.histogram(times, bins=5, range=(0, total))[0] / len(times)
    np.testing.assert_allclose(shares, expected, atol=0.06)


def test_resumed_session_is_the_uninterrupted_one(tmp_path: Path) -> None:
    settings = ON.changed(context_fraction=0.7, grad_accumulation=2)
    whole, seen = learn("pocket", settings), list[Event]()

    def stop() -> bool:
        return sum(isinstance(e, Step) for e in seen) == 3

    with pytest.raises(InterruptedLearning, match="after step 3 of 5"):
        learn("pocket", settings, work_dir=tmp_path, on_event=seen.append, should_stop=stop)
    resumed = learn("pocket", settings, work_dir=tmp_path, resume=True)
    assert same(whole, resumed)
    assert whole.losses == resumed.losses


@pytest.mark.parametrize(
    "changed",
    [
        {"context_mask": "off"},
        {"context_mask": "attention", "subject_mask": "saliency"},
        {"composites": 0.5},
        {"resolution": 16, "guidance_dropout": 0.5},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_with_other_switches(changed: dict[str, Any]) -> None:
    done = learn("pocket", ON.changed(steps=2, **changed))
    assert np.isfinite(done.losses["dm"]).all()


def test_gradient_checkpointing_learns_the_same(learned_on: LearnedSession) -> None:
    thrifty = learn("pocket", ON.changed(gradient_checkpointing=True))
    for key, value in learned_on.adapter.items():
        np.testing.assert_allclose(thrifty.adapter[key], value, atol=1e-4)
