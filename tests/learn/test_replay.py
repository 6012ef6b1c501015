"""Earlier concepts' contexts shown again: they are learned on, and nothing else takes part."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch

from lfsd.adapter import Adapter
from lfsd.base import BaseModel
from lfsd.composites import Cutout, composites
from lfsd.context import ConceptContext
from lfsd.data import (
    CUT_OUT,
    Draw,
    PhotoLatents,
    draw_batch,
    draw_replay,
    encode_photos,
    with_replay,
)
from lfsd.errors import InterruptedLearning
from lfsd.events import Step
from lfsd.learn import LearnedSession, learn_session
from lfsd.loop import Loop, Subject
from lfsd.settings import Settings
from lfsd.shown import Shown, ShownContexts
from lfsd.tokens import insert_token
from tests.learn.photos import disc_photos
from tests.tiny import LAYOUTS, tiny_base

OFF = Settings(
    rank=4,
    alpha=4.0,
    steps=6,
    batch=2,
    pool_size=3,
    distill_steps=4,
    lr_adapter=1e-2,
    checkpoint_every=0,
    replay=0,
)
ON = OFF.changed(replay=2)


def prepared(layout: str) -> tuple[BaseModel, torch.nn.Parameter, ConceptContext]:
    """A base that knows V0, and V0's two contexts with the left half masked out."""
    base = BaseModel.load(tiny_base(layout), device="cpu", precision="float32")
    row = insert_token(base, "V0", "dog")[0].requires_grad_(False)
    photos = disc_photos(2)
    latents = encode_photos(base, photos, "V0", "dog", OFF.changed(composites=0.0)).plain
    masks = np.ones((2, *latents.shape[2:]), np.float32)
    masks[:, :, : masks.shape[2] // 2] = 0
    return base, row, ConceptContext("V0", "dog", -latents.numpy(), masks)


def learn(
    layout: str, settings: Settings, **further: Any
) -> tuple[BaseModel, torch.nn.Parameter, ConceptContext, LearnedSession]:
    base, row, context = prepared(layout)
    subject = Subject("V1", "cat", [("V0", "dog")], [context])
    done = learn_session(base, Adapter(base, settings), subject, disc_photos(), settings, **further)
    return base, row, context, done


def error_on(base: BaseModel, context: ConceptContext) -> float:
    """L_DM of the contexts under their own prompt, over fixed noise."""
    clean = torch.from_numpy(context.latents).repeat(8, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    t = torch.linspace(100, 900, len(clean)).long()
    text = base.encode_text([context.prompt] * len(clean))
    with torch.no_grad():
        pred = base.predict(base.add_noise(clean, noise, t), t, text)
    return float((pred - base.target(clean, noise, t)).square().mean())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_replays_and_keeps_the_earlier_row(layout: str) -> None:
    kept = prepared(layout)[1].clone()
    _, row, _, done = learn(layout, ON.changed(steps=2))
    assert torch.equal(row, kept)
    assert np.isfinite(done.losses["dm"]).all()


def known(count: int) -> tuple[BaseModel, Subject, list[ConceptContext]]:
    """A base that knows V2, V3, ..., V0's contexts under each name, and V1 to be learned."""
    base, _, context = prepared("pocket")
    names = [f"V{i}" for i in range(2, 2 + count)]
    for name in names:
        insert_token(base, name, "dog")
    contexts = [replace(context, token=name) for name in names]
    return base, Subject("V1", "cat", [(name, "dog") for name in names], contexts), contexts


def test_what_is_replayed_is_learned() -> None:
    longer = {"steps": 40, "distill": False, "lr_adapter": 2e-2, "subject_mask": "off"}
    errors = []
    for rows in ({"replay": 4, "batch": 1}, {"replay": 0, "batch": 5}):
        settings = OFF.changed(**longer, **rows)
        base, subject, contexts = known(4)
        # nothing that the photos could teach
        contexts = [replace(c, latents=np.full_like(c.latents, 2.0)) for c in contexts]
        subject = replace(subject, contexts=contexts)
        learn_session(base, Adapter(base, settings), subject, disc_photos(), settings)
        errors.append(error_on(base, contexts[0]))
    assert errors[0] < 0.9 * errors[1], errors


def test_without_contexts_nothing_is_replayed_and_another_photo_is_seen() -> None:
    base, _, _ = prepared("pocket")
    subject = Subject("V1", "cat", [("V0", "dog")])
    done = learn_session(base, Adapter(base, ON), subject, disc_photos(), ON)
    _, _, _, plain = learn("pocket", OFF.changed(batch=ON.batch + ON.replay))
    assert all(np.array_equal(done.adapter[k], plain.adapter[k]) for k in plain.adapter)


class Watched(Loop):
    """A loop that tells what it drew."""

    seen: ClassVar[list[tuple[int, int, list[int]]]] = []

    def part(self, draw: Draw, picked: torch.Tensor, shown: Shown | None = None) -> Any:
        self.seen.append((self.batch, self.replay, draw.view.tolist()))
        return super().part(draw, picked, shown)


def watched(count: int, settings: Settings) -> list[tuple[int, int, list[int]]]:
    """(photos, replayed, views) of each step of a session after `count` others."""
    Watched.seen.clear()
    base, subject, _ = known(count)
    learn_session(base, Adapter(base, settings), subject, disc_photos(), settings, loop=Watched)
    return Watched.seen


@pytest.mark.parametrize(("count", "rows"), [(0, (7, 0)), (1, (6, 1)), (3, (4, 3)), (5, (3, 4))])
def test_photos_take_the_rows_that_no_concept_needs(count: int, rows: tuple[int, int]) -> None:
    ((batch, replay, views),) = watched(count, ON.changed(steps=1, batch=3, replay=4))
    assert (batch, replay) == rows and len(views) == 7


def test_several_processes_share_as_many_rows() -> None:
    settings = ON.changed(batch=4, replay=4)
    two = SimpleNamespace(num_processes=2, is_main_process=False, prepare=lambda *both: both)
    for count, rows in ((0, (8, 0)), (1, (6, 2)), (3, (4, 4)), (5, (4, 4))):
        base, subject, contexts = known(count)
        insert_token(base, "V1", "cat")
        own = encode_photos(base, disc_photos(), "V1", "cat", settings)
        data = with_replay(base, own, contexts, settings)
        loop = Loop(base, Adapter(base, settings), subject, data, [], settings, cast("Any", two))
        assert (loop.batch, loop.replay) == rows


def test_a_session_draws_every_context_as_often_as_any_other() -> None:
    steps = watched(2, ON.changed(steps=4, composites=0.0))
    own = len(disc_photos())
    replayed = Counter(view - own for *_, views in steps for view in views if view >= own)
    assert replayed == dict.fromkeys(range(4), 2)


def test_a_resumed_session_replays_the_same(tmp_path: Path) -> None:
    whole, seen = learn("pocket", ON)[3], []

    def stop() -> bool:
        return sum(isinstance(event, Step) for event in seen) == 3

    with pytest.raises(InterruptedLearning):
        learn("pocket", ON, work_dir=tmp_path, on_event=seen.append, should_stop=stop)
    assert learn("pocket", ON, work_dir=tmp_path, resume=True)[3].losses == whole.losses


def test_cut_batches_replay_the_same() -> None:
    whole = learn("pocket", ON.changed(steps=2))[3]
    cut = learn("pocket", ON.changed(steps=2), loop=partial(Loop, chunks=2))[3]
    np.testing.assert_allclose(whole.losses["dm"], cut.losses["dm"], rtol=1e-3)


def test_what_is_replayed_is_cut_too_when_memory_runs_out() -> None:
    class Scarce(Loop):
        def part(self, draw: Draw, picked: torch.Tensor, shown: Shown | None = None) -> Any:
            if len(draw.t) > 1:
                raise torch.OutOfMemoryError("out of memory")
            return super().part(draw, picked, shown)

    settings = ON.changed(steps=1, batch=1, replay=4)
    base, subject, _ = known(4)
    done = learn_session(
        base, Adapter(base, settings), subject, disc_photos(), settings, loop=Scarce
    )
    assert np.isfinite(done.losses["dm"]).all()


def test_contexts_are_the_last_views_under_their_own_prompts() -> None:
    base, _, context = prepared("pocket")
    insert_token(base, "V1", "cat")
    data = encode_photos(base, disc_photos(), "V1", "cat", ON)
    whole = ON.changed(composites=0.0)
    more = with_replay(base, data, [context], whole)
    assert (more.own, more.replayed, more.photos) == (len(data.latents), 2, data.photos)
    assert np.array_equal(more.latents[-2:, 0].numpy(), context.latents)
    assert torch.equal(more.latents[-2:, 1], more.latents[-2:, 0].flip(-1))
    assert all("V0 dog" in p for view in more.prompts[-2:] for p in view)
    left, right = more.weights[-2:, 0].chunk(2, dim=-1)
    assert right.mean() > 5 * left.mean()
    unmasked = with_replay(base, data, [context], whole.changed(subject_mask="off"))
    assert torch.equal(unmasked.weights[-2:], torch.ones_like(more.weights[-2:]))
    # each draw keeps to its own part
    drawn = [draw_batch(more, ON, ("V1", i), 1000, 4).view for i in range(50)]
    assert torch.cat(drawn).max() < more.own
    again = torch.cat([draw_replay(more, ON, ("V1",), i, 1000, 2).view for i in range(20)])
    assert set(again.tolist()) == {more.own, more.own + 1}


def test_subjects_are_replayed_on_plain_colours_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = []

    def watched(cutouts: list[Cutout], *further: Any, **named: Any) -> Any:
        cut.extend(cutouts)
        return composites(cutouts, *further, **named)

    monkeypatch.setattr("lfsd.data.composites", watched)
    base, _, context = prepared("pocket")
    insert_token(base, "V1", "cat")
    data = encode_photos(base, disc_photos(), "V1", "cat", ON)
    cut.clear()
    more = with_replay(base, data, [context], ON)
    decoded = base.decode(torch.from_numpy(context.latents))
    for (picture, mask), pixels, kept in zip(cut, decoded, context.masks, strict=True):
        assert np.array_equal(np.asarray(picture), pixels)
        assert np.array_equal(mask, kept)
    assert more.replayed == 4 and more.weights[-2:].min() == 1
    (first,), (second,) = more.prompts[-2:]
    assert "V0 dog" in first and "background" in first and first != second
    # with one concept more, other colours
    again = ConceptContext("V2", "dog", context.latents, context.masks)
    assert with_replay(base, data, [context, again], ON).prompts[-4:-2] != more.prompts[-2:]
    # nothing can be cut out without a mask, or by one that shows all or nothing
    ones = np.ones_like(context.masks)
    for masks in (None, ones, 0 * ones):
        useless = ConceptContext("V0", "dog", context.latents, masks)
        assert with_replay(base, data, [useless], ON).replayed == 2


def test_however_many_concepts_there_are_as_many_are_cut_out() -> None:
    base, _, context = prepared("pocket")
    insert_token(base, "V1", "cat")
    data = encode_photos(base, disc_photos(), "V1", "cat", ON)

    def replayed(count: int) -> PhotoLatents:
        known = [replace(context, token=f"W{i}") for i in range(count)]
        return with_replay(base, data, known, ON)

    few, many, more = (replayed(count) for count in (CUT_OUT, CUT_OUT + 4, CUT_OUT + 5))
    assert few.replayed == 4 * CUT_OUT
    assert many.replayed == 4 * CUT_OUT + 8

    def subject(views: PhotoLatents, view: int) -> str:
        return views.prompts[view][0].split()[4]

    def subjects(views: PhotoLatents) -> list[str]:
        return [subject(views, view) for view in range(len(views.latents))[-2 * CUT_OUT :]]

    assert subjects(few) == [f"W{i}" for i in range(CUT_OUT) for _ in range(2)]
    assert len(set(subjects(many))) == CUT_OUT, "nobody twice"
    assert set(subjects(many)) != set(subjects(more)), "others the next time"
    for own, view in enumerate(many.cut_out, start=many.own):
        assert subject(many, view) == subject(many, own)
    # whether cut out or not, each context is drawn as often as any other
    drawn = torch.cat([draw_replay(many, ON, ("V1",), i, 1000, 8).view for i in range(400)])
    assert set(drawn.tolist()) == set(range(many.own, len(many.latents)))
    per_concept = Counter(subject(many, view) for view in drawn.tolist())
    assert set(per_concept.values()) == {8 * 400 // (CUT_OUT + 4)}
    cut = drawn >= many.own + len(many.cut_out)
    assert abs(float(cut.float().mean()) - 0.5 * CUT_OUT / (CUT_OUT + 4)) < 0.03


def test_contexts_of_another_resolution_are_left_out() -> None:
    base, _, context = prepared("pocket")
    insert_token(base, "V1", "cat")
    data = encode_photos(base, disc_photos(), "V1", "cat", ON)
    smaller = ConceptContext("V0", "dog", context.latents[..., :4, :4])
    assert with_replay(base, data, [smaller], ON) is data
    assert with_replay(base, data, [smaller, context], ON).replayed == 4


def test_what_is_replayed_sees_no_context_of_the_new_subject() -> None:
    base, _, context = prepared("pocket")
    insert_token(base, "V1", "cat")
    settings = ON.changed(context_in_training=True, guidance_dropout=0.0)
    data = with_replay(
        base, encode_photos(base, disc_photos(), "V1", "cat", settings), [context], ON
    )
    shown = ShownContexts(base, data, "V1", "cat", settings)
    draw, seen = shown.draw(draw_batch(data, settings, ("V1", 0), 1000, 3), ("V1", "context", 0))
    again = draw_replay(data, settings, ("V1", "replay"), 0, 1000, 2)
    both = type(draw)(*(torch.cat(parts) for parts in zip(draw, again, strict=True)))
    assert isinstance(seen, Shown)
    row = shown.row(seen, both)
    assert row is not None and row.rows == 3
