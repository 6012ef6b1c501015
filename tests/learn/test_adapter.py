"""Student and teacher on one UNet, and the guard over what may move."""

import pytest
import torch

from lfsd.adapter import STUDENT, TEACHER, Adapter, Guard
from lfsd.base import BaseModel, TextStates
from lfsd.errors import LfsdError, UsageError
from lfsd.lora import SummedLinear
from lfsd.settings import Settings
from lfsd.tokens import insert_token
from tests.tiny import tiny_base

SETTINGS = Settings(rank=4, alpha=8.0, targets=("attn1", "attn2", "ff", "resnet"))


@pytest.fixture
def adapter() -> Adapter:
    torch.manual_seed(0)
    adapter = Adapter(
        BaseModel.load(tiny_base("pocket"), device="cpu", precision="float32"), SETTINGS
    )
    for parameter in adapter.parameters(STUDENT):
        parameter.data.normal_(0, 0.3)
    return adapter


def look(adapter: Adapter) -> torch.Tensor:
    base = adapter.base
    z = torch.randn(2, base.latent_channels, 16, 16, generator=torch.Generator().manual_seed(1))
    text = base.encode_text(["a cat", "a dog"]).detach()
    return base.predict(z, torch.tensor([100, 700]), TextStates(*text))


def test_each_speaks_for_itself(adapter: Adapter) -> None:
    student = look(adapter)
    with adapter.as_teacher():
        teacher = look(adapter)
    with adapter.as_base():
        base = look(adapter)
    assert torch.equal(teacher, base), "the teacher was not trained yet"
    assert not torch.allclose(student, base)
    adapter.snapshot_teacher()
    with adapter.as_teacher():
        assert torch.equal(look(adapter), student)
    adapter.detach()
    assert torch.equal(look(adapter), base)


@pytest.mark.parametrize("narrow", [True, False])
def test_in_half_precision_lora_sees_the_layers_own_input(
    narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseModel, "narrow", property(lambda _: narrow))
    half = Adapter(BaseModel.load(tiny_base("pocket"), device="cpu", precision="bf16"), SETTINGS)
    assert narrow == any(isinstance(layer, SummedLinear) for layer in half.layers.values())
    two = {k: v for k, v in half.layers.items() if not isinstance(v, SummedLinear)}
    seen: dict[str, list[torch.dtype]] = {key: [] for key in two}
    for key, layer in two.items():
        for module in (layer.get_base_layer(), layer.lora_A[STUDENT]):
            module.register_forward_pre_hook(
                lambda _module, args, key=key: seen[key].append(args[0].dtype)
            )
    look(half)
    assert all(len(dtypes) == 2 and len(set(dtypes)) == 1 for dtypes in seen.values()), seen
    assert any(torch.bfloat16 in dtypes for dtypes in seen.values())


def test_switching_away_and_back_keeps_the_student_training(adapter: Adapter) -> None:
    # peft's set_adapter and enable_adapters flip requires_grad; ours must not
    for speak in (adapter.as_teacher, adapter.as_base, adapter.as_student, adapter.merged):
        with speak():
            look(adapter)
        assert all(p.requires_grad for p in adapter.parameters(STUDENT))
        trained = [p for p in adapter.base.unet.parameters() if p.requires_grad]
        assert len(trained) == len(adapter.parameters(STUDENT))
    look(adapter).square().mean().backward()
    assert all(p.grad is not None for p in adapter.parameters(STUDENT))
    assert all(p.grad is None for p in adapter.parameters(TEACHER))


def test_merged_predicts_as_the_student_and_puts_every_bit_back(adapter: Adapter) -> None:
    before = {k: v.clone() for k, v in adapter.base.unet.state_dict().items()}
    student = look(adapter)
    with adapter.merged():
        torch.testing.assert_close(look(adapter), student, rtol=1e-3, atol=1e-4)
    after = adapter.base.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert torch.equal(look(adapter), student)


def test_state_round_trip_and_foreign_rank(adapter: Adapter) -> None:
    state, student = adapter.state(), look(adapter)
    adapter.load(None)
    with adapter.as_base():
        base = look(adapter)
    assert torch.equal(look(adapter), base)
    adapter.load(state)
    assert torch.equal(look(adapter), student)
    narrow = {k: v[:2] if "lora_A" in k else v[:, :2] for k, v in state.items()}
    with pytest.raises(UsageError, match="rank"):
        adapter.load(narrow)


def test_the_same_seed_begins_the_same(adapter: Adapter) -> None:
    adapter.load(None)
    other = Adapter(
        BaseModel.load(tiny_base("pocket"), device="cpu", precision="float32"), SETTINGS
    )
    mine, theirs = adapter.state(), other.state()
    assert all((mine[k] == theirs[k]).all() for k in mine)


class TestGuard:
    """Each of the things that must not happen is made to happen."""

    @pytest.fixture
    def rows(self, adapter: Adapter) -> list[torch.nn.Parameter]:
        for row in insert_token(adapter.base, "V1", "cat"):
            row.requires_grad_(False)
        return insert_token(adapter.base, "V2", "dog")

    def move(self, parameters: list[torch.nn.Parameter]) -> None:
        with torch.no_grad():
            parameters[0].add_(1.0)

    def test_all_is_well(self, adapter: Adapter, rows: list[torch.nn.Parameter]) -> None:
        guard = Guard(adapter, rows)
        self.move(adapter.parameters(STUDENT))
        self.move(rows)
        guard.check()

    def test_student_stands_still(self, adapter: Adapter, rows: list[torch.nn.Parameter]) -> None:
        guard = Guard(adapter, rows)
        self.move(rows)
        with pytest.raises(LfsdError, match="student does not train"):
            guard.check()

    def test_row_stands_still(self, adapter: Adapter, rows: list[torch.nn.Parameter]) -> None:
        guard = Guard(adapter, rows)
        self.move(adapter.parameters(STUDENT))
        with pytest.raises(LfsdError, match="row does not train"):
            guard.check()

    @pytest.mark.parametrize("what", ["teacher", "base", "text", "earlier row"])
    def test_something_else_moves(
        self, adapter: Adapter, rows: list[torch.nn.Parameter], what: str
    ) -> None:
        guard = Guard(adapter, rows)
        self.move(adapter.parameters(STUDENT))
        self.move(rows)
        base = adapter.base
        self.move(
            {
                "teacher": adapter.parameters(TEACHER),
                "base": [base.unet.conv_in.weight],
                "text": [base.token_tables[0].weight],
                "earlier row": [base.token_tables[0].rows["V1"]],
            }[what]
        )
        with pytest.raises(LfsdError, match="changed"):
            guard.check()
