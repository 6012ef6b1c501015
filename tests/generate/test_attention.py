"""The processor: equal to diffusers' own without a control, exact about contexts with one."""

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from lfsd.attention import (
    AttentionControl,
    ContextFeed,
    ContextWeights,
    LfsdAttention,
    TokenMaps,
    attend_with_context,
    attention,
    attention_weights,
    install_processors,
    level_size,
)
from lfsd.base import BaseModel


def inputs(base: BaseModel, rows: int = 2) -> tuple[torch.Tensor, int, object]:
    side = base.resolution // base.vae_scale
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(rows, base.latent_channels, side, side, generator=generator)
    return latents, 500, base.encode_text(["a photo of a V1 cat", "a dog"][:rows])


@torch.no_grad()
def test_without_a_control_it_is_ordinary_attention(base: BaseModel) -> None:
    latents, t, text = inputs(base)
    ours = base.predict(latents, t, text)
    base.unet.set_attn_processor(AttnProcessor())
    try:
        theirs = base.predict(latents, t, text)
    finally:
        install_processors(base.unet)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_every_layer_is_named_and_replaced(base: BaseModel) -> None:
    processors = base.unet.attn_processors
    assert install_processors(base.unet) == len(processors)
    kinds = {name.split(".")[-2] for name in processors}
    assert kinds == {"attn1", "attn2"}
    for name, processor in base.unet.attn_processors.items():
        assert isinstance(processor, LfsdAttention)
        assert name == processor.layer + ".processor"


def test_plain_and_fused_attention_agree_and_so_do_their_gradients() -> None:
    generator = torch.Generator().manual_seed(1)
    make = lambda n: torch.randn(2, 3, n, 8, generator=generator, requires_grad=True)  # noqa: E731
    query, key, value = make(5), make(7), make(7)
    bias = torch.randn(1, 1, 1, 7, generator=generator)
    fused = attention(query, key, value, bias)
    plain = attention_weights(query, key, bias) @ value
    torch.testing.assert_close(fused, plain)
    for a, b in zip(
        torch.autograd.grad(fused.square().sum(), (query, key, value)),
        torch.autograd.grad(plain.square().sum(), (query, key, value)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_half_precision_training_on_cpu_uses_plain_softmax() -> None:
    query = torch.randn(1, 2, 4, 8, dtype=torch.bfloat16, requires_grad=True)
    out = attention(query, query, query)
    names = set()
    node = out.grad_fn
    while node is not None:
        names.add(type(node).__name__)
        node = node.next_functions[0][0] if node.next_functions else None
    assert not any("ScaledDotProduct" in name for name in names)
    assert any("Softmax" in name for name in names)


@pytest.mark.parametrize(
    ("latent", "tokens", "size"),
    [
        ((16, 16), 256, (16, 16)),
        ((16, 16), 16, (4, 4)),
        ((9, 15), 40, (5, 8)),
        ((64, 96), 96, (8, 12)),
    ],
)
def test_level_size(latent: tuple[int, int], tokens: int, size: tuple[int, int]) -> None:
    assert level_size(latent, tokens) == size


def test_level_size_refuses_what_is_no_level() -> None:
    with pytest.raises(ValueError, match="no level"):
        level_size((16, 16), 17)


def rows_of(count: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    shape = (count, 2, tokens, 4)
    return tuple(torch.randn(shape, generator=generator) for _ in range(3))  # type: ignore[return-value]


def test_context_of_weight_one_equals_a_longer_sequence() -> None:
    query, key, value = rows_of(3, 16)  # rows 0, 1 attend; row 2 is the context
    feed = ContextFeed(2, 1, ContextWeights(torch.ones(1, 4, 4)))
    out = attend_with_context("x", query, key, value, feed)
    for row in (0, 1):
        want = attention(
            query[row : row + 1],
            torch.cat([key[row], key[2]], dim=1)[None],
            torch.cat([value[row], value[2]], dim=1)[None],
        )
        torch.testing.assert_close(out[row : row + 1], want)
    torch.testing.assert_close(out[2:], attention(query[2:], key[2:], value[2:]))


def test_weight_scales_the_context_s_share_of_the_softmax() -> None:
    query, key, value = rows_of(2, 16)
    weights = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(3)) + 0.1
    out = attend_with_context("x", query, key, value, ContextFeed(1, 1, ContextWeights(weights)))
    both = torch.cat([key[0], key[1]], dim=1)
    mass = ((query[0] * 0.5) @ both.transpose(-1, -2)).exp()
    mass[..., 16:] *= weights.flatten()
    share = mass / mass.sum(-1, keepdim=True)
    torch.testing.assert_close(out[0], share @ torch.cat([value[0], value[1]], dim=1))


def test_masked_places_cannot_be_seen() -> None:
    query, key, value = rows_of(2, 16)
    weights = torch.zeros(1, 4, 4)
    weights[0, 0, 1] = 1.0
    feed = ContextFeed(1, 1, ContextWeights(weights))
    out = attend_with_context("x", query, key, value, feed)
    changed = value.clone()
    changed[1, :, 2:] += 100.0  # every place but tokens 0 and 1 of the context
    same = attend_with_context("x", query, key, changed, ContextFeed(1, 1, feed.weights))
    torch.testing.assert_close(same[0], out[0])
    changed[1, :, 1] += 1.0
    assert not torch.allclose(
        attend_with_context("x", query, key, changed, ContextFeed(1, 1, feed.weights))[0], out[0]
    )
    assert feed.states["x"][0].shape == (2, 1, 4)


def test_all_masked_is_no_context() -> None:
    query, key, value = rows_of(2, 16)
    feed = ContextFeed(1, 1, ContextWeights(torch.zeros(1, 4, 4)))
    out = attend_with_context("x", query, key, value, feed)
    assert torch.equal(out, attention(query, key, value))


@torch.no_grad()
def test_token_map_sums_to_the_tokens_own_attention(base: BaseModel) -> None:
    latents, t, text = inputs(base)
    length = text.hidden.shape[1]  # type: ignore[attr-defined]
    everything = TokenMaps(torch.ones(1, length))
    control = AttentionControl(maps=everything)
    with_map = base.predict(latents, t, text, cross_attention_kwargs=control.kwargs())
    control.check_used()
    torch.testing.assert_close(with_map, base.predict(latents, t, text))
    assert set(everything.layers) == {
        n.removesuffix(".processor") for n in base.unet.attn_processors if "attn2" in n
    }
    for found in everything.layers.values():
        assert found.shape[0] == 1
        torch.testing.assert_close(found, torch.ones_like(found))

    one = torch.zeros(2, length)
    one[:, 5] = 1
    maps = TokenMaps(one)
    base.predict(latents, t, text, cross_attention_kwargs=AttentionControl(maps=maps).kwargs())
    side = latents.shape[-1]
    combined = maps.combined((side, side))
    assert combined.shape == (2, side, side)
    assert not torch.equal(combined[0], combined[1])
    assert combined.amin() == 0 and combined.amax() == pytest.approx(1)


@torch.no_grad()
def test_a_control_that_no_layer_obeys_is_an_error(pocket: BaseModel) -> None:
    latents, t, text = inputs(pocket)
    control = AttentionControl(maps=TokenMaps(torch.ones(1, 16)))
    pocket.unet.set_attn_processor(AttnProcessor())
    try:
        pocket.predict(latents, t, text, cross_attention_kwargs=control.kwargs())
    finally:
        install_processors(pocket.unet)
    with pytest.raises(RuntimeError, match="ignored"):
        control.check_used()
    with pytest.raises(RuntimeError, match="no cross-attention"):
        control.maps.combined((16, 16))  # type: ignore[union-attr]
