"""Prompts, settings, random draws and loss weights."""

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from lfsd.adapter import ATTENTION, EVERYTHING, fitted
from lfsd.base import BaseModel
from lfsd.data import draw_evenly
from lfsd.errors import UsageError
from lfsd.loop import usual_rate, usual_token_rate
from lfsd.masks import loss_weights
from lfsd.prompts import (
    article,
    caption_with_token,
    distillation_prompts,
    fill,
    share_out,
    training_prompts,
)
from lfsd.randomness import seeded
from lfsd.settings import Settings


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("my V1 cat asleep", "my V1 cat asleep"),
        ("a Cat on a sofa", "a V1 cat on a sofa"),
        ("catalogue of cats", "a V1 cat, catalogue of cats"),
        ("asleep on a sofa", "a V1 cat, asleep on a sofa"),
        ("a V12 cat", "a V12 V1 cat"),
    ],
)
def test_captions_name_the_concept(caption: str, expected: str) -> None:
    assert caption_with_token(caption, "V1", "cat") == expected


def test_training_prompts_hold_token_and_noun() -> None:
    for prompt in training_prompts("V1", "teddy bear", None):
        assert "V1 teddy bear" in prompt
    assert training_prompts("V1", "cat", None, "plain") == ["a photo of a V1 cat"]
    assert article("apple") == "an apple"
    assert fill("a photo of a {} on a beach", "owl") == "a photo of an owl on a beach"


def test_pool_guards_class_earlier_generic_and_empty_but_never_the_new_token() -> None:
    groups = distillation_prompts("cat", [("V1", "dog"), ("V2", "cup")], Settings())
    assert set(groups) == {"class", "earlier", "generic", "empty"}
    chosen = share_out(groups, 24)
    assert "" in chosen
    assert any("V1 dog" in p for p in chosen) and any("V2 cup" in p for p in chosen)
    assert "a photo of a cat" in chosen
    assert all(any(p.startswith(f"a photo of a {n}") for p in chosen) for n in ("dog", "cup"))
    assert share_out(groups, 24, offset=12) != chosen
    base = distillation_prompts("cat", [("V1", "dog")], Settings(teacher="base"))
    assert "earlier" not in base, "the base does not know the earlier concepts"


def test_small_pools_guard_other_concepts_in_other_sessions() -> None:
    known = [(f"V{i}", f"thing{i}") for i in range(12)]
    guarded = set()
    for session in range(6, 12):
        groups = distillation_prompts("cat", known[:session], Settings())
        assert groups == distillation_prompts("cat", known[:session], Settings())
        guarded |= {word for prompt in groups["earlier"][:4] for word in prompt.split()}
    assert len(guarded & {token for token, _ in known}) > 8


def test_settings_round_trip_and_name_what_is_wrong() -> None:
    settings = Settings(rank=8, targets=("attn2", "ff"), trajectory="student")
    assert Settings.from_dict(settings.to_dict()) == settings
    with pytest.raises(UsageError, match="unknown settings: new_switch"):
        Settings.from_dict({"new_switch": 1})
    with pytest.raises(UsageError, match="trajectory"):
        Settings.from_dict({"trajectory": "both"})
    for wrong in ({"steps": 0}, {"targets": ("unet",)}, {"flip": 2.0}, {"rank": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Settings(**wrong)


def test_draws_are_even() -> None:
    used = torch.cat([draw_evenly(6, Settings(), ("V1",), step, 4) for step in range(6)])
    assert torch.bincount(used, minlength=6).tolist() == [4] * 6


def test_draws_depend_on_their_key_alone() -> None:
    first = torch.randn(3, generator=seeded(0, "V1", "step", 1))
    torch.randn(5)
    assert torch.equal(first, torch.randn(3, generator=seeded(0, "V1", "step", 1)))
    assert not torch.equal(first, torch.randn(3, generator=seeded(0, "V1", "step", 11)))


def test_loss_weights_have_mean_one_and_favour_the_subject() -> None:
    mask = torch.zeros(1, 4, 4)
    mask[0, 0, 0] = 1
    weights = loss_weights(mask, 0.1)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[0, 0, 0] == pytest.approx(10 * float(weights[0, 3, 3]))


def of_width(width: int) -> BaseModel:
    """A base of which nothing is there but how wide its UNet is."""
    base = BaseModel.__new__(BaseModel)
    config = SimpleNamespace(block_out_channels=(width, 2 * width))
    base.unet = SimpleNamespace(config=config)  # type: ignore[assignment]
    return base


@pytest.mark.parametrize(("width", "rate"), [(320, 2e-4), (80, 8e-4), (640, 2e-4)])
@pytest.mark.parametrize(("optimizer", "times"), [("adamw", 1), ("muon", 4)])
def test_a_narrow_unet_learns_at_a_higher_rate(
    width: int, rate: float, optimizer: str, times: float
) -> None:
    assert usual_rate(of_width(width), optimizer) == pytest.approx(times * rate)


@pytest.mark.parametrize(
    ("widths", "rate"), [((768,), 5e-3), ((768, 1280), 5e-3), ((192,), 2e-2), ((1024, 384), 1e-2)]
)
def test_token_rows_learn_faster_in_a_narrow_encoder(widths: tuple[int, ...], rate: float) -> None:
    tables = [SimpleNamespace(weight=torch.empty(2, width)) for width in widths]
    base = cast(BaseModel, SimpleNamespace(token_tables=tables))
    assert usual_token_rate(base) == pytest.approx(rate)


@pytest.mark.parametrize(("width", "targets"), [(320, ATTENTION), (32, EVERYTHING)])
def test_a_narrow_unet_adapts_its_convolutions_too(width: int, targets: tuple[str, ...]) -> None:
    base = of_width(width)
    assert fitted(Settings(), base).targets == targets
    assert fitted(Settings(targets=("ff",)), base).targets == ("ff",), "who names them is heard"


@pytest.mark.parametrize(
    ("width", "optimizer", "other"), [(320, "adamw", "muon"), (32, "muon", "adamw")]
)
def test_a_narrow_unet_is_stepped_by_muon(width: int, optimizer: str, other: str) -> None:
    base = of_width(width)
    assert fitted(Settings(), base).optimizer == optimizer
    named = Settings.from_dict({"optimizer": other})
    assert fitted(named, base).optimizer == other, "who names one is heard"


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_rate_that_is_given_must_be_above_zero(rate: float) -> None:
    assert Settings().lr_adapter is None
    with pytest.raises(UsageError, match="lr_adapter is out of range"):
        Settings(lr_adapter=rate)
