"""Blending: whose shape goes where, for how long, and what is left as it was."""

from typing import Any

import numpy as np
import pytest
import torch

from lfsd.base import BaseModel
from lfsd.blending import Blend, Blending, well_cut
from lfsd.context import ConceptContext
from lfsd.distill import clean_and_noise, prediction_of
from lfsd.events import ignore
from lfsd.generate import generate, latent_shape
from lfsd.judge import Judge
from lfsd.measure import Examiner, Plan, Subject
from lfsd.sampler import Sampling, sample
from tests.generate.conftest import ContextMaker, loaded
from tests.tiny import tiny_base

TOKENS = ("V1", "V2")


def middle(base: BaseModel) -> np.ndarray:
    """A mask [h,w] of a subject in the middle, sharp."""
    _, height, width = latent_shape(base)
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return mask


def masked(context: ConceptContext, *masks: np.ndarray) -> ConceptContext:
    return ConceptContext(context.token, context.class_noun, context.latents, np.stack(masks))


def blending_of(base: BaseModel, *contexts: ConceptContext) -> Blending:
    found = Blending.of(base, contexts)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_way_back_from_a_picture_to_its_prediction(kind: str) -> None:
    z, pred = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0)).unbind(1)
    for alpha in (0.01, 0.5, 0.9):
        x, _ = clean_and_noise(pred, z, alpha, kind)
        torch.testing.assert_close(prediction_of(x, z, alpha, kind), pred, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_picture_is_the_context_inside_the_mask_and_its_own_outside(kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    pred, noisy, clean = (torch.randn(2, 4, 8, 8, generator=rng) for _ in range(3))
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., :3] = 1
    mask[..., 3] = 0.25
    alpha = torch.tensor(0.3)
    before, _ = clean_and_noise(pred, noisy, alpha, kind)
    blend = Blend(((clean, mask),))
    after, _ = clean_and_noise(blend(pred, noisy, alpha, kind), noisy, alpha, kind)
    expected = before.clone()
    expected[..., :3] = clean[..., :3]
    expected[..., 3] += 0.25 * (clean - before)[..., 3]
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", ["pocket", "sd1", "sdxl"])
def test_blended_in_all_steps_the_subject_is_the_context(
    layout: str, make_context: ContextMaker
) -> None:
    base = loaded(layout)
    context = make_context(base, mask=middle(base))
    noise = torch.randn(1, *latent_shape(base), generator=torch.Generator().manual_seed(1))
    inside = torch.from_numpy(middle(base)) == 1
    far = {}
    for share in (0.0, 0.5, 1.0):
        drawn = sample(
            base,
            noise,
            base.encode_text(["a V1 cat"]),
            base.encode_text([""]),
            Sampling(steps=4, context_blend=share),
            blend=blending_of(base, context).at([0]),
        )
        away = (drawn[0] - torch.from_numpy(context.latents[0])).abs()
        far[share] = float(away[:, inside].mean())
        assert away[:, ~inside].mean() > 0.1, "the words have the ground"
    assert far[1.0] < 1e-4 < far[0.5] < far[0.0]


def test_a_picture_s_context_goes_by_its_seed(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    context = make_context(pocket, count=3, mask=middle(pocket))
    seeds = [4, 5, 6, 7]
    [(several, _)] = blending_of(pocket, context).at(seeds).subjects
    for row, seed in enumerate(seeds):
        [(alone, _)] = blending_of(pocket, context).at([seed]).subjects
        torch.testing.assert_close(alone[0], several[row])
        torch.testing.assert_close(alone[0], torch.from_numpy(context.latents[seed % 3]))


def disc(side: int, radius: float) -> np.ndarray:
    """A mask [side,side] of a disc, antialiased."""
    fine = np.linspace(-0.5, 0.5, 8 * side)
    inside = (fine[:, None] ** 2 + fine**2 < radius**2).astype(np.float32)
    return inside.reshape(side, 8, side, 8).mean((1, 3))


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("radius", [0.08, 0.2, 0.45])
def test_a_sharp_mask_is_well_cut_however_small(side: int, radius: float) -> None:
    sharp = torch.from_numpy(disc(side, radius))
    with_ground = sharp.clamp_min(0.6)
    nothing, everything = torch.zeros_like(sharp), torch.ones_like(sharp)
    vague = 0.4 * sharp
    masks = torch.stack([sharp, with_ground, nothing, everything, vague])
    assert well_cut(masks).tolist() == [True, False, False, False, False]


def test_a_mask_that_took_in_the_ground_is_not_used(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    sharp, vague = middle(pocket), np.full_like(middle(pocket), 0.6)
    everything, nothing = np.ones_like(sharp), np.zeros_like(sharp)
    four = make_context(pocket, count=4)
    blending = Blending.of(pocket, [masked(four, vague, nothing, sharp, everything)])
    assert blending is not None
    for seed in range(4):
        [(clean, _)] = blending.at([seed]).subjects
        torch.testing.assert_close(clean[0], torch.from_numpy(four.latents[2]))
    assert Blending.of(pocket, [masked(four, vague, nothing, vague, everything)]) is None


def test_all_of_a_prompt_s_concepts_are_blended_in_or_none(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    cat = make_context(pocket, mask=middle(pocket))
    dog, blank = make_context(pocket, "V2", "dog", mask=middle(pocket)), np.ones_like
    assert Blending.of(pocket, [cat, dog]) is not None
    assert Blending.of(pocket, [cat, masked(dog, blank(middle(pocket)))]) is None
    assert Blending.of(pocket, [cat, make_context(pocket, "V2", "dog")]) is None
    prompt, sampling = "a V1 cat and a V2 dog", Sampling(steps=2)

    def blends(*contexts: ConceptContext) -> object:
        [one] = generate(
            pocket, None, prompt, seed=1, sampling=sampling, contexts=contexts, concepts=TOKENS
        )
        return one.provenance["context_blend"]

    assert blends(cat, dog) == 0.7
    assert blends(cat) == 0.0, "the dog would have no place"


def test_a_mask_s_edge_is_cut_steeper(pocket: BaseModel, make_context: ContextMaker) -> None:
    mask = middle(pocket)
    mask[0, 0] = 0.3
    mask[-1, -1] = 0.6
    [(_, cut)] = blending_of(pocket, make_context(pocket, mask=mask)).at([0]).subjects
    assert cut[0, 0, 0, 0] == 0
    assert float(cut[0, 0, -1, -1]) == pytest.approx(0.8)


def test_two_stand_side_by_side_in_the_prompt_s_order(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    cat, dog = (
        make_context(pocket, token, noun, mask=middle(pocket))
        for token, noun in (("V1", "cat"), ("V2", "dog"))
    )
    for context, value in ((cat, 1.0), (dog, 2.0)):
        context.latents[:] = value
    shape = latent_shape(pocket)
    blank, alpha = torch.zeros(1, *shape), torch.tensor(0.5)
    for pair, left, right in (([cat, dog], 1.0, 2.0), ([dog, cat], 2.0, 1.0)):
        picture = blending_of(pocket, *pair).at([0])(blank, blank, alpha, "sample")[0, 0]
        middle_column = shape[2] // 2
        sides = picture[:, : middle_column - 1], picture[:, middle_column + 1 :]
        assert [float(side.max()) for side in sides] == pytest.approx([left, right])
        top, bottom = (half != 0 for half in picture.chunk(2))
        assert bottom.sum() > top.sum(), "on the ground, not in the air"
        assert (picture != 0).sum() < 2 * middle(pocket).sum(), "each smaller than alone"


def drawn(
    base: BaseModel, contexts: list[ConceptContext], n: int = 1, seed: int = 1, **options: Any
) -> list[bytes]:
    sampling = Sampling(**{"steps": 4, **options})
    pictures = generate(
        base, None, "a V1 cat on a beach", n=n, seed=seed, sampling=sampling, contexts=contexts
    )
    assert {p.provenance["context_blend"] for p in pictures} == {
        options.get("context_blend", 0.7 if base.narrow else 0.0)
    }
    return [p.image.tobytes() for p in pictures]


def test_a_picture_does_not_depend_on_those_beside_it(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    contexts = [make_context(pocket, count=3, mask=middle(pocket))]
    assert drawn(pocket, contexts, 3, seed=7, batch=1)[1:] == [
        *drawn(pocket, contexts, seed=8),
        *drawn(pocket, contexts, seed=9),
    ]


@pytest.mark.parametrize("feed", ["attend", "canvas"])
def test_it_is_the_default_on_a_narrow_unet(
    pocket: BaseModel, make_context: ContextMaker, feed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = [make_context(pocket, mask=middle(pocket))]
    without = drawn(pocket, contexts, icgen=feed, context_blend=0.0)
    assert drawn(pocket, contexts, icgen=feed) != without
    monkeypatch.setattr(BaseModel, "narrow", False)
    wide = {"icgen": feed, "guidance_fraction": 0.5}
    assert drawn(pocket, contexts, **wide) == without


@pytest.mark.parametrize(
    "options",
    [
        {"icgen": "off"},
        {"context_strength": 0.0},
        {"context_fraction": 0.0},
        {"context_masked": False},
        {"context_blend": 0.0},
    ],
)
def test_nothing_is_blended_in_without_contexts(
    pocket: BaseModel, make_context: ContextMaker, options: dict[str, Any]
) -> None:
    def blends(context: ConceptContext | None, **options: Any) -> object:
        [one] = generate(
            pocket,
            None,
            "a V1 cat",
            seed=1,
            sampling=Sampling(steps=2, **options),
            contexts=[] if context is None else [context],
        )
        return one.provenance["context_blend"]

    seen = make_context(pocket, mask=middle(pocket))
    assert blends(seen) == 0.7
    assert blends(seen, **options) == 0.0
    assert blends(make_context(pocket)) == blends(None) == 0.0


def test_what_is_measured_is_not_blended(
    pocket: BaseModel, make_context: ContextMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge.load(tiny_base("pocket"))
    context = make_context(pocket, mask=middle(pocket))
    subject = Subject("V1", "cat", 1, np.ones((1, 4), np.float32), context)
    asked: list[int] = []
    at = Blending.at
    monkeypatch.setattr(Blending, "at", lambda self, seeds: asked.extend(seeds) or at(self, seeds))

    def look(**options: Any) -> None:
        plan = Plan(pictures=1, scenes=1, steps=2, **options)
        run = Examiner(pocket, judge, plan, Sampling(), ignore, 0)
        run.concept(subject)
        run.scenes(subject)

    look()
    assert asked == []
    look(context_blend=None)
    assert len(asked) == 2
