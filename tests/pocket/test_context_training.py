"""In-context training: what a target sees in training is what `lfsd gen` shows it."""

import numpy as np
import pytest
import torch

from lfsd.attention import (
    KEY,
    AttentionControl,
    ContextFeed,
    ContextWeights,
    install_processors,
)
from recipes.pocket import models
from recipes.pocket.train_context import (
    ContextAttention,
    Views,
    context_logits,
    imprecise,
    joined,
)


@pytest.fixture(scope="module")
def unet() -> torch.nn.Module:
    torch.manual_seed(0)
    return models.unet().eval()


@torch.no_grad()
@pytest.mark.parametrize("contexts", [1, 2])
def test_training_shows_what_generation_shows(unet: torch.nn.Module, contexts: int) -> None:
    generator = torch.Generator().manual_seed(1)
    n, ordinary = 2, 3
    rows = n * (1 + contexts) + ordinary
    latents = torch.randn(rows, 5, 32, 32, generator=generator)
    text = torch.randn(rows, 24, models.WIDTH, generator=generator)
    cover = (torch.rand(n, contexts, 32, 32, generator=generator) > 0.5).float()
    cover[:, :, :8] = 0  # whole places that a context hides
    shared = context_logits(cover)
    unet.set_attn_processor(
        {k: ContextAttention(k.removesuffix(".processor"), shared) for k in unet.attn_processors}
    )
    trained = unet(latents, 500, text).sample
    install_processors(unet)
    alone = unet(latents[-ordinary:], 500, text[-ordinary:]).sample
    assert torch.allclose(alone, trained[-ordinary:], atol=2e-3)
    for i in range(n):
        own = [i, *range(n + i * contexts, n + (i + 1) * contexts)]
        feed = ContextFeed(1, contexts, ContextWeights(cover[i] / contexts))
        control = AttentionControl(feed)
        drawn = unet(latents[own], 500, text[own], cross_attention_kwargs={KEY: control}).sample
        control.check_used()
        assert torch.allclose(drawn, trained[own], atol=2e-3)
        alone = unet(latents[own[:1]], 500, text[own[:1]]).sample
        assert not torch.allclose(alone[0], drawn[0], atol=2e-2)


def test_views_of_a_draw_show_one_subject_and_differ() -> None:
    label = np.array([0, 1, 0, 2, 1, 1, 0, 0, 1])  # one view of subject 2: never drawn
    blank = torch.zeros(9, 1)
    views = Views(blank, blank, blank, label)
    drawn = views.draw(np.random.default_rng(0), 40, 2)
    assert drawn.shape == (40, 3)
    assert all(len(set(row)) == 3 and len(set(label[row])) == 1 for row in drawn)
    assert set(label[drawn].ravel()) == {0, 1}


def test_masks_are_never_too_narrow() -> None:
    torch.manual_seed(0)
    cover = torch.zeros(64, 1, 32, 32)
    cover[:, :, 10:20, 10:20] = 1
    masks = imprecise(cover)
    sizes = {float(m.sum()) for m in masks}
    assert bool((masks >= cover).all())
    assert sizes == {100.0, 14.0**2, 32.0**2}


def test_strangers_come_first_then_the_contexts_of_each_then_ordinary_rows() -> None:
    others, early = torch.arange(10), torch.arange(100, 110)
    theirs = np.array([[0, 1, 2], [3, 4, 5]])
    assert joined(others, theirs, early, np.array([7, 7, 9])).tolist() == [
        *(0, 3),
        *(1, 2, 4, 5),
        *(107, 107, 109),
    ]
