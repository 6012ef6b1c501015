"""Choosing contexts, and what feeding them does and does not change."""

import numpy as np
import pytest
import torch

from lfsd.base import BaseModel
from lfsd.context import (
    ConceptContext,
    ContextBank,
    choose_contexts,
    context_bank,
    context_weights,
    fitted,
    resize_mask,
)
from lfsd.generate import latent_shape
from lfsd.sampler import picture_noise, predict_branches
from tests.generate.conftest import ContextMaker


def branches(
    base: BaseModel, bank: ContextBank | None, count: int = 2, t: int = 400
) -> tuple[torch.Tensor, torch.Tensor]:
    latents = picture_noise(7, count, latent_shape(base))
    text = base.encode_text(["a photo of a V1 cat on a beach"] * count)
    with torch.no_grad():
        cond, uncond = predict_branches(
            base, latents, t, text, base.encode_text([""] * count), bank
        )
    assert uncond is not None
    return cond, uncond


@pytest.mark.parametrize("feed", ["attend", "canvas"])
def test_a_context_changes_the_conditional_branch_only(
    base: BaseModel, make_context: ContextMaker, feed: str
) -> None:
    bank = context_bank(base, [make_context(base)], feed=feed)
    cond, uncond = branches(base, bank)
    plain_cond, plain_uncond = branches(base, None)
    assert (cond - plain_cond).abs().mean() > 1e-3
    torch.testing.assert_close(uncond, plain_uncond, atol=1e-5, rtol=1e-4)


def test_strength_zero_off_and_fraction_zero_are_no_context(
    base: BaseModel, make_context: ContextMaker
) -> None:
    context = make_context(base)
    assert context_bank(base, [context], strength=0.0) is None
    assert context_bank(base, [context], feed="off") is None
    assert context_bank(base, [context], fraction=0.0) is None
    assert context_bank(base, []) is None
    faint = context_bank(base, [context], strength=1e-9)
    torch.testing.assert_close(
        branches(base, faint)[0], branches(base, None)[0], atol=1e-6, rtol=1e-5
    )


def test_more_strength_pulls_further(pocket: BaseModel, make_context: ContextMaker) -> None:
    plain = branches(pocket, None)[0]
    context = make_context(pocket)
    moved = [
        (branches(pocket, context_bank(pocket, [context], strength=s))[0] - plain).norm()
        for s in (0.05, 0.3, 1.0)
    ]
    assert moved[0] < moved[1] < moved[2]


def test_sharing_across_the_batch_equals_one_at_a_time(
    base: BaseModel, make_context: ContextMaker
) -> None:
    contexts = [make_context(base, count=2)]
    together = branches(base, context_bank(base, contexts), count=3)[0]
    alone = branches(base, context_bank(base, contexts), count=1)[0]
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)


def test_recorded_states_equal_riding_ones(base: BaseModel, make_context: ContextMaker) -> None:
    bank = context_bank(base, [make_context(base, count=2)], strength=0.7)
    assert bank is not None
    riding = branches(base, bank)[0]
    assert set(bank.states) == {400}
    feed = bank.control(2, 400).feed
    assert feed is not None and feed.riding == 0
    torch.testing.assert_close(branches(base, bank)[0], riding, atol=1e-5, rtol=1e-4)
    bank.forget()
    assert not bank.states


def test_states_beyond_the_cache_are_not_kept(
    pocket: BaseModel, make_context: ContextMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfsd.context.CACHE_BYTES", 100)
    bank = context_bank(pocket, [make_context(pocket)])
    assert bank is not None
    first = branches(pocket, bank)[0]
    assert not bank.states
    torch.testing.assert_close(branches(pocket, bank)[0], first)


def test_recorded_states_depend_on_the_context_and_t_alone(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    contexts = [make_context(pocket)]
    a, b = context_bank(pocket, contexts), context_bank(pocket, contexts)
    c = context_bank(pocket, contexts, noise_seed=1)
    assert a is not None and b is not None and c is not None
    branches(pocket, a, count=1)
    branches(pocket, b, count=3)
    branches(pocket, c, count=1)
    for layer, (key, value) in a.states[400].items():
        torch.testing.assert_close(b.states[400][layer][0], key, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(b.states[400][layer][1], value, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(c.states[400][layer][0], key, atol=1e-3)


def test_mask_hides_part_of_a_context(pocket: BaseModel, make_context: ContextMaker) -> None:
    half = np.zeros((16, 16))
    half[:, :8] = 1
    whole = branches(pocket, context_bank(pocket, [make_context(pocket)]))[0]
    left = branches(pocket, context_bank(pocket, [make_context(pocket, mask=half)]))[0]
    right = branches(pocket, context_bank(pocket, [make_context(pocket, mask=1 - half)]))[0]
    none = branches(pocket, context_bank(pocket, [make_context(pocket, mask=0 * half)]))[0]
    ignored = branches(
        pocket, context_bank(pocket, [make_context(pocket, mask=half)], masked=False)
    )[0]
    assert not torch.allclose(left, whole, atol=1e-4)
    assert not torch.allclose(left, right, atol=1e-4)
    torch.testing.assert_close(none, branches(pocket, None)[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ignored, whole)


def test_mask_on_the_canvas_blanks_what_it_hides(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    half = np.zeros((16, 16))
    half[:, :8] = 1
    bank = context_bank(pocket, [make_context(pocket, mask=half, count=2)], feed="canvas")
    assert bank is not None
    canvas = bank.canvas(400)
    assert canvas.shape == (1, 8, 16, 32)
    alpha = pocket.alphas_cumprod[400]
    blank = (1 - alpha).sqrt() * bank.noise
    torch.testing.assert_close(canvas[0, :, :, 8:16], blank[:, :, 8:])
    torch.testing.assert_close(canvas[0, :, :, :8], bank.at(400)[0, :, :, :8])


def test_several_concepts_bring_all_their_contexts(
    base: BaseModel, make_context: ContextMaker
) -> None:
    cat, dog = make_context(base, "V1", "cat", 2), make_context(base, "V2", "dog")
    bank = context_bank(base, [cat, dog], strength=0.8)
    assert bank is not None and bank.count == 3
    np.testing.assert_array_equal(bank.clean[2].cpu(), dog.latents[0])
    # every context has the whole strength, however many a concept has
    torch.testing.assert_close(bank.weights.amax((1, 2)), torch.tensor([0.8, 0.8, 0.8]))
    hidden = base.encode_text(["a photo of a V1 cat", "a photo of a V2 dog"]).hidden
    torch.testing.assert_close(bank.text.hidden, hidden[[0, 0, 1]])
    both = branches(base, bank)[0]
    for one in ([cat], [dog]):
        assert (branches(base, context_bank(base, one, strength=0.8))[0] - both).abs().max() > 1e-4


def test_order_of_concepts_does_not_matter(pocket: BaseModel, make_context: ContextMaker) -> None:
    cat, dog = make_context(pocket, "V1", "cat"), make_context(pocket, "V2", "dog")
    torch.testing.assert_close(
        branches(pocket, context_bank(pocket, [cat, dog]))[0],
        branches(pocket, context_bank(pocket, [dog, cat]))[0],
        atol=1e-5,
        rtol=1e-4,
    )


def test_fraction_leaves_the_noisy_steps_to_the_words(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    bank = context_bank(pocket, [make_context(pocket)], fraction=0.6)
    assert bank is not None
    assert [bank.active(i, 5) for i in range(5)] == [False, False, True, True, True]


def test_strength_is_bounded() -> None:
    context = ConceptContext("V1", "cat", np.zeros((2, 4, 8, 8), np.float32))
    assert context_weights([context], 1e9).max() == 4.0
    assert context_weights([context], -1).max() == 0.0


def test_a_context_of_another_resolution_is_resampled(
    pocket: BaseModel, make_context: ContextMaker
) -> None:
    big = ConceptContext(
        "V1", "cat", np.ones((1, 8, 32, 32), np.float32), np.ones((1, 32, 32), np.float32)
    )
    small = fitted(big, (16, 16))
    assert small.latents.shape == (1, 8, 16, 16) and small.masks is not None
    np.testing.assert_allclose(small.latents, 1, rtol=1e-5)
    assert small.masks.shape == (1, 16, 16)
    bank = context_bank(pocket, [big, make_context(pocket, "V2", "dog")])
    assert bank is not None and bank.clean.shape == (2, 8, 16, 16)


FEATURES = np.array([[1, 0.9], [1, 0], [0, 1], [1, 1], [1, 0.1]], dtype=np.float64)


@pytest.mark.parametrize(
    ("choice", "count", "want"),
    [
        ("first", 2, [0, 1]),
        ("first", 9, [0, 1, 2, 3, 4]),
        ("medoid", 1, [0]),
        ("medoid", 2, [0, 3]),
        ("spread", 2, [0, 2]),
        ("spread", 3, [0, 2, 1]),
        ("spread", 0, []),
    ],
)
def test_choice(choice: str, count: int, want: list[int]) -> None:
    assert choose_contexts(FEATURES, count, choice) == want  # type: ignore[arg-type]


def test_choice_with_duplicates_and_nonsense() -> None:
    same = np.ones((4, 3))
    assert sorted(choose_contexts(same, 4, "spread")) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="unknown"):
        choose_contexts(same, 2, "best")  # type: ignore[arg-type]


def test_resize_mask_keeps_the_mean() -> None:
    mask = np.zeros((128, 128), np.float32)
    mask[:64, :32] = 1
    small = resize_mask(mask, (16, 16))
    assert small.shape == (16, 16) and small.mean() == pytest.approx(mask.mean())
    np.testing.assert_array_equal(small[:8, :4], 1)
    assert resize_mask(small, (40, 40)).shape == (40, 40)
