"""LoRA added into the weight: what peft's own way computes, in one product."""

import pytest
import torch
from peft.tuners import lora
from torch.nn import functional as F

from lfsd.adapter import STUDENT, TEACHER, Adapter
from lfsd.base import BaseModel
from lfsd.lora import SummedLinear
from lfsd.settings import Settings
from tests.tiny import tiny_base

SETTINGS = Settings(rank=4, alpha=8.0, targets=("attn1", "attn2", "ff", "resnet"))


def adapted(base: BaseModel) -> Adapter:
    torch.manual_seed(0)
    adapter = Adapter(base, SETTINGS)
    for name in (STUDENT, TEACHER):
        for parameter in adapter.parameters(name):
            parameter.data.normal_(0, 0.3)
    return adapter


def summed(adapter: Adapter) -> list[SummedLinear]:
    return [layer for layer in adapter.layers.values() if isinstance(layer, SummedLinear)]


@pytest.mark.parametrize("name", [STUDENT, TEACHER, None])
def test_values_and_gradients_are_peft_s_own(name: str | None) -> None:
    adapter = adapted(BaseModel.load(tiny_base("pocket"), device="cpu", precision="float32"))
    layers = summed(adapter)
    linear = [k for k, v in adapter.layers.items() if v.get_base_layer().weight.ndim == 2]
    assert len(layers) == len(linear) > 0
    assert {bool(layer.get_base_layer().bias is None) for layer in layers} == {True, False}
    speaking = {STUDENT: adapter.as_student, TEACHER: adapter.as_teacher, None: adapter.as_base}
    with speaking[name](), torch.enable_grad():
        adapter.trainable(True)
        for layer in layers:
            wide = layer.get_base_layer().in_features
            start = torch.randn(2, 3, wide, generator=torch.Generator().manual_seed(1))
            pair = [layer.lora_A[STUDENT].weight, layer.lora_B[STUDENT].weight]
            found = []
            for way in (lora.Linear.forward, SummedLinear.forward):
                x = start.clone().requires_grad_()
                out = way(layer, x)
                moved = [x, *pair] if name == STUDENT else [x]
                found.append((out, *torch.autograd.grad(out.square().sum(), moved)))
            for theirs, ours in zip(*found, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_in_half_precision_the_sum_is_what_is_rounded() -> None:
    adapter = adapted(BaseModel.load(tiny_base("pocket"), device="cpu", precision="bf16"))
    layer = summed(adapter)[0]
    with torch.autocast("cpu", torch.bfloat16):
        weight = layer._summed()
        change = layer.lora_B[STUDENT].weight.double() @ layer.lora_A[STUDENT].weight.double()
        x = torch.randn(3, weight.shape[1], generator=torch.Generator().manual_seed(1))
        rounded = F.linear(x.bfloat16(), weight.bfloat16(), layer.get_base_layer().bias)
        assert torch.equal(layer(x), rounded)
    expected = layer.get_base_layer().weight.double() + layer.scaling[STUDENT] * change
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_base_as_wide_as_stable_diffusion_keeps_peft_s_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = BaseModel.load(tiny_base("sd1"), device="cpu", precision="float32")
    monkeypatch.setattr(BaseModel, "narrow", property(lambda _: False))
    adapter = adapted(base)
    assert not summed(adapter)
    assert any(type(layer) is lora.Linear for layer in adapter.layers.values())
