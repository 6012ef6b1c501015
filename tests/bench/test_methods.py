"""What defines each method, on two sessions of two steps."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.lifelong.methods import (
    COMPARED,
    METHODS,
    PLAIN,
    POOLED,
    penalties,
    pick_methods,
    pools,
)
from benchmarks.lifelong.methods.bounds import Joint, Separate
from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.methods.orthogonal import Orthogonal
from benchmarks.lifelong.methods.penalties import CLora, CLoraLoop, Ewc, EwcLoop
from benchmarks.lifelong.methods.pools import LatentReplay, Preservation, PriorPreservation
from benchmarks.lifelong.protocol import Session
from lfsd.base import BaseModel
from lfsd.distill import Pool, clean_and_noise
from lfsd.errors import UsageError
from lfsd.loop import Loop
from lfsd.settings import Settings
from lfsd.tokens import insert_token, set_tokens, token_rows

Make = Callable[..., Learner]


@pytest.fixture
def make(base: BaseModel, settings: Settings, sessions: list[Session]) -> Iterator[Make]:
    """Makes a learner on the shared base and takes it off again, one at a time."""
    made: list[Learner] = []

    def close() -> None:
        while made:
            made.pop().close()

    def learner(kind: type[Learner], **changes: Any) -> Learner:
        close()
        made.append(kind(base, settings.changed(**changes), sessions))
        return made[-1]

    yield learner
    close()


def watched(kind: type[Learner], loop: type[Loop], seen: list[Any]) -> type[Learner]:
    """The method, telling what its loop's penalty and pool were."""

    class Telling(loop):  # type: ignore[misc, valid-type]
        def penalty(self) -> Tensor | None:
            found = super().penalty()
            seen.append(None if found is None else float(found.detach()))
            return found

        def make_pool(self, number: int, rng: torch.Generator) -> Pool:
            pool = super().make_pool(number, rng)
            seen.append((pool, self.prompts.names, self.prompts.states))
            return pool

    class Watched(kind):  # type: ignore[misc, valid-type]
        def loop(self, session: Session) -> Callable[..., Loop]:
            made = super().loop(session)
            keywords = made.keywords if isinstance(made, partial) else {}
            return partial(Telling, **keywords) if made is not Loop else Loop

    return Watched


@pytest.mark.parametrize(
    ("kind", "loop"), [(Ewc, EwcLoop), (CLora, CLoraLoop)], ids=["ewc", "clora"]
)
def test_a_penalty_is_nothing_at_first_and_then_grows(
    make: Make, sessions: list[Session], kind: type[Learner], loop: type[Loop]
) -> None:
    seen: list[Any] = []
    learner = make(watched(kind, loop, seen), **PLAIN)
    learner.learn(sessions[0])
    assert seen == [None, None]
    learner.learn(sessions[1])
    assert seen[2] == 0 and seen[3] > 0


def test_ewc_holds_what_mattered(
    make: Make, sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(penalties, "FISHER_DRAWS", 4)

    def moved(weight: float) -> float:
        learner = make(Ewc, **PLAIN, steps=4)
        learner.weight = weight
        learner.learn(sessions[0])
        assert all((f >= 0).all() for f in learner.memory.values())
        before, importance = learner.adapter.state(), dict(learner.memory)
        learner.learn(sessions[1])
        now = learner.adapter.state()
        return sum(float((importance[k] * (now[k] - before[k]) ** 2).sum()) for k in now)

    assert moved(1e12) < 0.5 * moved(0.0)


def test_orthogonal_blocks_do_not_meet(make: Make, sessions: list[Session]) -> None:
    learner = make(Orthogonal, **PLAIN)
    assert isinstance(learner, Orthogonal)
    assert learner.settings.rank == 2 * learner.block
    first, second = slice(0, learner.block), slice(learner.block, None)
    begun = learner.adapter.state()
    learner.learn(sessions[0])
    once = learner.adapter.state()
    learner.learn(sessions[1])
    twice = learner.adapter.state()
    for key in twice:
        if "lora_A" in key:
            np.testing.assert_array_equal(twice[key], begun[key])
            rows = twice[key].reshape(len(twice[key]), -1)  # of a convolution: all it sees at once
            one, two = rows[first], rows[second]
            np.testing.assert_allclose(one @ two.T, 0, atol=1e-6)
            used = min(learner.block, rows.shape[1] // 2)  # a narrow layer has no room for more
            lengths = (one @ one.T).diagonal()
            np.testing.assert_allclose(lengths[:used], 1 / 3, atol=1e-5)
            assert used > 0 and not lengths[used:].any()
        else:
            assert not once[key][:, second].any()
            np.testing.assert_array_equal(twice[key][:, first], once[key][:, first])
    matrices = [k for k in twice if "lora_B" in k]
    assert any(once[k][:, first].any() for k in matrices)
    assert any(twice[k][:, second].any() for k in matrices)


def pooled(
    make: Make, sessions: list[Session], kind: type[Learner], loop: type[Loop]
) -> tuple[Learner, Pool, list[str], Any]:
    """The pool of the second session."""
    seen: list[Any] = []
    learner = make(watched(kind, loop, seen), **POOLED)
    for session in sessions:
        learner.learn(session)
    pool, names, states = [found for found in seen if found is not None][-1]
    assert len(pool.t) == learner.settings.steps * learner.settings.distill_batch
    return learner, pool, [names[i] for i in pool.prompt.tolist()], states


def clean_of(base: BaseModel, pool: Pool) -> Tensor:
    """The clean latents that the pool's targets mean."""
    a = base.alphas_cumprod[pool.t].view(-1, 1, 1, 1)
    return clean_and_noise(pool.teacher, pool.latents, a, base.prediction_type)[0]


def test_replay_shows_earlier_concepts_again(
    make: Make, base: BaseModel, sessions: list[Session]
) -> None:
    learner, pool, prompts, _ = pooled(make, sessions, LatentReplay, pools.NoisedLoop)
    assert prompts and all("V1 cat" in p for p in prompts)
    stored = torch.from_numpy(learner.kept["V1"]["replay"])
    distance = torch.cdist(clean_of(base, pool).flatten(1), stored.flatten(1)).amin(1)
    assert float(distance.max()) < 1e-2


def test_prior_shows_class_pictures_only(
    make: Make, base: BaseModel, sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "CLASS_PICTURES", 3)
    learner, pool, prompts, _ = pooled(make, sessions, PriorPreservation, pools.NoisedLoop)
    assert set(prompts) == {"a photo of a dog"}
    latents = learner.class_pictures(sessions[1], "a photo of a dog")  # type: ignore[attr-defined]
    assert latents.shape == (3, *pool.latents.shape[1:])
    distance = torch.cdist(clean_of(base, pool).flatten(1), latents.flatten(1)).amin(1)
    assert float(distance.max()) < 1e-2


def test_preserve_keeps_the_class_prompts_output(
    make: Make, base: BaseModel, sessions: list[Session]
) -> None:
    learner, pool, prompts, states = pooled(make, sessions, Preservation, pools.PreservationLoop)
    assert prompts and all("dog" in p and "V2" not in p for p in prompts)
    with learner.adapter.as_teacher():
        again = base.predict(pool.latents, pool.t, states[pool.prompt])
    torch.testing.assert_close(pool.teacher, again, atol=1e-4, rtol=1e-4)


def test_separate_adapters_do_not_touch_each_other(make: Make, sessions: list[Session]) -> None:
    learner = make(Separate, **PLAIN)
    learner.learn(sessions[0])
    first = learner.adapter.state()
    learner.learn(sessions[1])
    second = learner.adapter.state()
    assert any(not np.array_equal(first[k], second[k]) for k in first)
    learner.stand("V1")
    assert all(np.array_equal(a, first[k]) for k, a in learner.adapter.state().items())
    learner.stand("V2")
    assert all(np.array_equal(a, second[k]) for k, a in learner.adapter.state().items())
    learner.stand(None)
    assert not any(a.any() for k, a in learner.adapter.state().items() if "lora_B" in k)
    sizes = sum(a.nbytes for a in first.values())
    assert learner.kept_bytes() > 2 * sizes


def test_joint_learns_every_row_from_every_photo(
    make: Make, base: BaseModel, sessions: list[Session]
) -> None:
    learner = make(Joint, **PLAIN)
    for session in sessions:
        learner.learn(session)
    assert learner.session_settings(sessions[1]).steps == 4
    assert not any(row.requires_grad for t in base.token_tables for row in t.rows.values())
    learned = {s.token: token_rows(base, s.token)[0] for s in sessions}
    set_tokens(base, {})
    for session in sessions:
        insert_token(base, session.token, session.class_noun)
        assert not np.array_equal(token_rows(base, session.token)[0], learned[session.token])


def test_others_have_four_photos_a_step_whatever_lfsd_has() -> None:
    others = [method for method in COMPARED if method.name != "ours"]
    assert {Settings(batch=7).changed(**method.changes).batch for method in others} == {4}


def test_a_method_comes_after_the_one_it_takes_over() -> None:
    assert [m.name for m in pick_methods(["dfkd", "icgen"])] == ["ours", "dfkd", "naive", "icgen"]
    names = [m.name for m in pick_methods(["all"])]
    assert sorted(names) == sorted(METHODS)
    assert all(
        names.index(m.trained_as) < names.index(m.name) for m in METHODS.values() if m.trained_as
    )


def test_variants_of_a_method() -> None:
    strong, masked = pick_methods(["ewc@1e7", "dfkd+subject_mask=saliency+composites=0.3"])
    assert (strong.name, strong.weight, strong.kind) == ("ewc@1e7", 1e7, Ewc)
    assert masked.changes == {"icgen": "off", "subject_mask": "saliency", "composites": 0.3}
    assert not masked.trained_as, "what it changes may be about learning"


@pytest.mark.parametrize("name", ["lora", "ewc@strong", "ours+rank"])
def test_unknown_methods_are_named(name: str) -> None:
    with pytest.raises(UsageError, match=re.split("[@+]", name)[-1]):
        pick_methods([name])


def test_a_weight_goes_where_the_method_says(base: BaseModel, settings: Settings) -> None:
    for kind, expected in ((Learner, (3.0, 3.0)), (Ewc, (1.0, 3.0))):
        learner = kind(base, settings.changed(distill_weight=1.0), [], weight=3.0)
        assert (learner.settings.distill_weight, learner.weight) == expected
        learner.close()
