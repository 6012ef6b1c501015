"""Figures by hand on small arrays; measurements on a tiny model whose adapter really changes."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from lfsd.adapter import Adapter, State
from lfsd.base import BaseModel, TextStates
from lfsd.errors import LfsdError
from lfsd.events import Event, Measured
from lfsd.events import Sampling as SamplingEvent
from lfsd.figures import (
    _rounded,
    confused_photos,
    cosines,
    fidelity,
    nearest_shares,
    paired_similarity,
    scene_accuracy,
    squared_drift,
    text_alignment,
    toward,
)
from lfsd.generate import generate
from lfsd.judge import Judge
from lfsd.measure import (
    AT_ONCE,
    QUICK,
    Plan,
    SessionState,
    Subject,
    measure,
    prediction_drift,
    some_subjects,
)
from lfsd.sampler import Sampling
from lfsd.settings import Settings
from tests.generate.conftest import ContextMaker, loaded
from tests.tiny import tiny_base

SMALL = Plan(pictures=2, scenes=2, steps=2, drift_steps=4, seed=3)
X, Y = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
DIAGONAL = np.array([[1.0, 1.0]]) / 2**0.5


def test_fidelity_alignment_and_accuracy_by_hand() -> None:
    np.testing.assert_allclose(cosines(3 * X, np.concatenate([X, DIAGONAL])), [[1, 0.5**0.5]])
    both = np.concatenate([X, Y])
    assert fidelity(both, X) == pytest.approx(0.5)
    assert text_alignment(both, both, [0, 1]) == pytest.approx(1)
    assert text_alignment(both, both, [1, 0]) == pytest.approx(0)
    assert scene_accuracy(both, both, [0, 0]) == 0.5
    assert paired_similarity(both, both[::-1]) == pytest.approx(0)
    with pytest.raises(ValueError, match="two different judges"):
        cosines(X, np.ones((1, 3)))
    with pytest.raises(ValueError, match="pair up"):
        paired_similarity(both, X)


def test_forgetting_and_confusion_by_hand() -> None:
    assert toward(X, Y, X) == pytest.approx(1)
    assert toward(Y, DIAGONAL, X) == pytest.approx(-(0.5**0.5))
    shares = nearest_shares(
        {"V1": np.concatenate([X, X, Y, DIAGONAL + 0.1 * Y])}, {"V1": X, "V2": Y}
    )
    assert shares == {"V1": {"V1": 0.5, "V2": 0.5}}
    assert confused_photos({"V1": X, "V2": Y}) == 0, "nothing to leave out"
    assert confused_photos({"V1": np.concatenate([X, X, Y]), "V2": Y}) == pytest.approx(1 / 3)
    now = np.zeros((2, 3, 1, 2, 2))
    now[:, 1] = 2.0
    np.testing.assert_allclose(squared_drift(now, np.zeros_like(now)), [0, 4, 0])


def test_photos_all_alike_do_not_draw_another_subject_to_themselves() -> None:
    varied, alike = np.concatenate([X, Y]), np.array([[np.cos(0.5), np.sin(0.5)]])
    picture = np.array([[np.cos(0.1), np.sin(0.1)]])
    assert fidelity(picture, alike) > fidelity(picture, varied), "by the mean it would be V2"
    assert nearest_shares({"V1": picture}, {"V1": varied, "V2": alike})["V1"]["V1"] == 1


def state_of(adapter: Adapter, scale: float, seed: int) -> State:
    """A state with random, non-zero matrices."""
    rng = np.random.default_rng(seed)
    return {
        key: rng.normal(0, scale, array.shape).astype(np.float32)
        for key, array in adapter.state().items()
    }


@pytest.fixture(scope="module", params=["pocket", "sdxl"])
def equipped(request: pytest.FixtureRequest) -> Iterator[tuple[BaseModel, Adapter]]:
    base = loaded(request.param)
    adapter = Adapter(base, Settings(rank=4))
    yield base, adapter


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load(tiny_base("pocket"))


Measurer = Callable[..., object]


def subjects_for(base: BaseModel, make_context: ContextMaker) -> list[Subject]:
    rng = np.random.default_rng(9)
    references = rng.normal(size=(2, 3, 32)).astype(np.float32)
    references /= np.linalg.norm(references, axis=-1, keepdims=True)
    return [
        Subject("V1", "cat", 1, references[0], make_context(base)),
        Subject("V2", "dog", 2, references[1], make_context(base, "V2", "dog")),
    ]


def test_drift_is_zero_for_an_empty_adapter_only(equipped: tuple[BaseModel, Adapter]) -> None:
    base, adapter = equipped
    adapter.load(None)
    assert prediction_drift(base, adapter, ["a cat", "a dog"], SMALL) == {"a cat": 0, "a dog": 0}
    found = []
    for scale in (0.02, 0.1):
        adapter.load(state_of(adapter, scale, 0))
        drift = prediction_drift(base, adapter, ["a cat", "a dog"], SMALL)
        alone = prediction_drift(base, adapter, ["a dog"], SMALL)
        assert alone["a dog"] == pytest.approx(drift["a dog"], rel=1e-3)
        assert prediction_drift(base, adapter, ["a cat", "a dog"], SMALL) == drift
        found.append(drift["a cat"])
    assert 0 < found[0] < found[1]


def test_many_class_nouns_are_not_compared_all_at_once(
    equipped: tuple[BaseModel, Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, adapter = equipped
    adapter.load(state_of(adapter, 0.05, 1))
    prompts = [f"a {noun}" for noun in ("cat", "dog", "hat", "cup", "car", "bird")]
    alone = [prediction_drift(base, adapter, [prompt], SMALL)[prompt] for prompt in prompts]
    rows: list[int] = []
    predict = base.predict

    def counted(latents: torch.Tensor, t: int, text: TextStates) -> torch.Tensor:
        rows.append(len(latents))
        return predict(latents, t, text)

    monkeypatch.setattr(base, "predict", counted)
    drift = prediction_drift(base, adapter, prompts, SMALL)
    assert max(rows) <= AT_ONCE < len(prompts)
    assert list(drift) == prompts
    assert list(drift.values()) == pytest.approx(alone, rel=1e-5)
    assert prediction_drift(base, adapter, [], SMALL) == {}, "nothing was asked"


def test_an_adapter_that_is_not_switched_on_is_an_error_not_a_triumph(
    equipped: tuple[BaseModel, Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, adapter = equipped
    adapter.load(state_of(adapter, 0.1, 0))
    monkeypatch.setattr(adapter, "merged", adapter.as_base)
    with pytest.raises(LfsdError, match="not switched on"):
        prediction_drift(base, adapter, ["a cat"], SMALL)


def test_generation_uses_the_adapter_and_gives_the_weights_back(
    equipped: tuple[BaseModel, Adapter],
) -> None:
    base, adapter = equipped
    weights = {k: v.clone() for k, v in base.unet.state_dict().items()}
    adapter.load(None)
    options = {"seed": 1, "sampling": Sampling(steps=3)}
    plain = generate(base, adapter, "a cat", **options)[0]  # type: ignore[arg-type]
    adapter.load(state_of(adapter, 0.2, 1))
    state = adapter.state()
    changed = generate(base, adapter, "a cat", **options)[0]  # type: ignore[arg-type]
    assert np.asarray(plain.image).tolist() != np.asarray(changed.image).tolist()
    for key, array in state.items():
        np.testing.assert_array_equal(adapter.state()[key], array)
    for key, tensor in base.unet.state_dict().items():
        if "lora" not in key:
            assert torch.equal(tensor, weights[key]), key
    assert all(p.requires_grad for p in adapter.parameters())


def test_report_of_two_sessions(
    equipped: tuple[BaseModel, Adapter], judge: Judge, make_context: ContextMaker
) -> None:
    base, adapter = equipped
    states = {1: state_of(adapter, 0.1, 1), 2: state_of(adapter, 0.1, 2)}
    sessions = [SessionState(n, lambda n=n: states[n]) for n in states]
    adapter.load(state_of(adapter, 0.3, 7))
    before = adapter.state()
    subjects = subjects_for(base, make_context)
    events: list[Event] = []
    report = measure(base, adapter, judge, subjects, sessions, plan=SMALL, on_event=events.append)
    for key, array in adapter.state().items():
        np.testing.assert_array_equal(array, before[key])

    assert report.tokens == ("V1", "V2") and report.sessions == (1, 2)
    (first, nothing), (then, second) = report.matrix
    assert nothing is None and first is not None
    assert (then, second) == (report.fidelity["V1"], report.fidelity["V2"])
    assert set(report.pcf) == {"V1"}
    assert report.pcf["V1"]["change"] == pytest.approx(report.fidelity["V1"] - first)
    assert report.pcf["V1"]["change"] != 0 and report.pcf["V1"]["similarity"] < 1
    assert set(report.rcf) == {"cat", "dog"}
    for figures in report.rcf.values():
        assert figures["drift"] > 0 and figures["away"] > 0 and figures["toward"] != 0
    for shares in report.confusion.values():
        assert sum(shares.values()) == pytest.approx(1)
    assert set(report.text_alignment) == set(report.scene_accuracy) == {"V1", "V2"}
    assert all(-1 <= v <= 1 for v in report.text_alignment.values())
    assert not report.quick and report.judge == judge.fingerprint

    told = report.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["matrix"]["fidelity"][0][1] is None
    steps = [e for e in events if isinstance(e, SamplingEvent)]
    assert steps[-1].step == steps[-1].total == len(steps) == 9
    assert any(isinstance(e, Measured) for e in events)

    again = measure(base, adapter, judge, subjects, sessions, plan=SMALL).to_dict()
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in told.items() if k != "seconds"
    }


def test_quick_report_of_the_head_alone(
    equipped: tuple[BaseModel, Adapter], judge: Judge, make_context: ContextMaker
) -> None:
    base, adapter = equipped
    adapter.load(state_of(adapter, 0.1, 2))
    report = measure(
        base,
        adapter,
        judge,
        subjects_for(base, make_context),
        [SessionState(2, adapter.state)],
        plan=QUICK,
        focus=["V2"],
        learned={"V1": 0.25},
    )
    assert report.quick
    assert set(report.text_alignment) == {"V2"}
    assert report.pcf == {"V1": {"change": pytest.approx(report.fidelity["V1"] - 0.25)}}
    assert set(report.rcf["cat"]) == {"drift"}
    assert set(report.rcf["dog"]) == {"drift", "toward", "away"}


def test_a_long_life_is_sampled() -> None:
    subjects = [Subject(f"V{i}", "cat", i, X) for i in range(20)]
    assert some_subjects(subjects, None) == some_subjects(subjects, 20) == subjects
    assert [s.session for s in some_subjects(subjects, 4)] == [0, 6, 13, 19]
    assert [s.session for s in some_subjects(subjects, 1)] == [19]


def test_nothing_learned_yet(equipped: tuple[BaseModel, Adapter], judge: Judge) -> None:
    base, adapter = equipped
    report = measure(base, adapter, judge, [], [SessionState(0, lambda: None)], plan=SMALL)
    assert report.to_dict()["matrix"] == {"sessions": [0], "concepts": [], "fidelity": [[]]}


def test_a_tiny_drift_is_not_rounded_to_zero() -> None:
    assert _rounded({"drift": 1.23456789e-9}) == {"drift": 1.23457e-9}
