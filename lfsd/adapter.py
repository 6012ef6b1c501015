"""The lifelong LoRA adapter: one trainable student and one frozen teacher on the same UNet."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import nn

from lfsd.base import BaseModel
from lfsd.errors import LfsdError, UsageError
from lfsd.lora import install_sums
from lfsd.settings import Settings

STUDENT, TEACHER = "student", "teacher"
State = dict[str, np.ndarray]
_PATTERNS = {
    "attn1": r".*\.attn1\.(to_q|to_k|to_v|to_out\.0)",
    "attn2": r".*\.attn2\.(to_q|to_k|to_v|to_out\.0)",
    "ff": r".*\.ff\.net\.(0\.proj|2)",
    "resnet": r".*\.resnets\.\d+\.(conv1|conv2)",
}
ATTENTION, EVERYTHING = ("attn1", "attn2"), tuple(_PATTERNS)


def fitted(settings: Settings, base: BaseModel) -> Settings:
    """`settings` with `targets` and `optimizer` chosen by the base where they name none."""
    return settings.changed(
        targets=settings.targets or (EVERYTHING if base.narrow else ATTENTION),
        optimizer=settings.optimizer or ("muon" if base.narrow else "adamw"),
    )


def layer_pattern(targets: Sequence[str]) -> str:
    """What the names of the adapted layers match: peft's `target_modules`."""
    return "|".join(f"({_PATTERNS[target]})" for target in targets)


class Adapter:
    """LoRA on the UNet of `base`. The student is active and trainable unless a context says
    otherwise.

    peft's own `set_adapter` and `enable_adapters` flip `requires_grad`, after which a student that
    was
    switched away from trains no more, silently. So switching goes through the contexts here, which
    put
    every flag back.
    """

    def __init__(self, base: BaseModel, settings: Settings) -> None:
        self.base, self.settings = base, fitted(settings, base)
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            target_modules=layer_pattern(self.settings.targets or ()),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            with warnings.catch_warnings():
                # peft warns of a second adapter on one model, which is the point here
                warnings.filterwarnings("ignore", "Already found a `peft_config`")
                for name in (STUDENT, TEACHER):
                    base.unet.add_adapter(config, adapter_name=name)
        self.layers: dict[str, LoraLayer] = {
            name: module
            for name, module in base.unet.named_modules()
            if isinstance(module, LoraLayer)
        }
        if not self.layers:
            raise UsageError("the base's UNet has none of the layers in `targets`")
        for parameter in base.unet.parameters():
            parameter.requires_grad_(False)
        for layer in self.layers.values():
            layer.set_adapter(STUDENT, inference_mode=True)
            # autocast would undo at once what this casts: two copies of every input for nothing
            layer.cast_input_dtype_enabled = False
        if base.narrow:
            install_sums(self.layers.values())
        for parameter in self.parameters(STUDENT) + self.parameters(TEACHER):
            parameter.data = parameter.data.to(base.device, torch.float32)
        self.trainable(True)
        self.snapshot_teacher()
        self._fresh = self.state()

    def parameters(self, name: str = STUDENT) -> list[nn.Parameter]:
        """The LoRA matrices of one of the two, in a fixed order."""
        return [p for _, p in self.named(name)]

    def named(self, name: str = STUDENT) -> list[tuple[str, nn.Parameter]]:
        """(key, matrix) as peft writes them: `<layer>.lora_A.weight`, `<layer>.lora_B.weight`."""
        found = []
        for key, layer in self.layers.items():
            for side, matrices in (("lora_A", layer.lora_A), ("lora_B", layer.lora_B)):
                found.append((f"{key}.{side}.weight", matrices[name].weight))
        return found

    def trainable(self, on: bool) -> None:
        """Let gradient reach the student's matrices, or not; the teacher's never get any."""
        for parameter in self.parameters(STUDENT):
            parameter.requires_grad_(on)
        for parameter in self.parameters(TEACHER):
            parameter.requires_grad_(False)

    # state

    def state(self, name: str = STUDENT) -> State:
        """A copy of the matrices as float32 arrays."""
        return {k: p.detach().float().cpu().numpy().copy() for k, p in self.named(name)}

    @torch.no_grad()
    def load(self, state: State | None, name: str = STUDENT) -> None:
        """Put `state` in place; None is the untouched base. UsageError if its shape is another
        one."""
        if state is None:
            state = self._fresh
        mine = {key: tuple(p.shape) for key, p in self.named(name)}
        theirs = {key: tuple(a.shape) for key, a in state.items()}
        if mine != theirs:
            raise UsageError(
                "the adapter of this store has another rank or other target layers",
                "rank and targets are fixed by the first session; leave them out",
            )
        for key, parameter in self.named(name):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(state[key])))

    @torch.no_grad()
    def snapshot_teacher(self) -> None:
        """Make the teacher an exact copy of the student as it is now."""
        for mine, theirs in zip(self.parameters(TEACHER), self.parameters(STUDENT), strict=True):
            mine.copy_(theirs)

    def detach(self) -> None:
        """Take the adapter off the UNet again, which then is the base's own."""
        # peft's own way would first make the teacher active, or copy the base's layers
        for key, layer in self.layers.items():
            parent, _, name = key.rpartition(".")
            setattr(self.base.unet.get_submodule(parent), name, layer.get_base_layer())
        del self.base.unet.peft_config
        self.base.unet._hf_peft_config_loaded = False

    # who speaks

    @contextmanager
    def _speaking(self, name: str | None) -> Iterator[None]:
        parameters = list(self.base.unet.parameters())
        flags = [p.requires_grad for p in parameters]
        before = [(layer.active_adapters, layer.disable_adapters) for layer in self.layers.values()]
        try:
            for layer in self.layers.values():
                _switch(layer, name)
            yield
        finally:
            for layer, (active, disabled) in zip(self.layers.values(), before, strict=True):
                _switch(layer, None if disabled else active[0])
            for parameter, flag in zip(parameters, flags, strict=True):
                parameter.requires_grad_(flag)

    @contextmanager
    def as_student(self) -> Iterator[None]:
        """The UNet predicts as the student."""
        with self._speaking(STUDENT):
            yield

    @contextmanager
    def as_teacher(self) -> Iterator[None]:
        """The UNet predicts as the teacher, without gradient."""
        with torch.no_grad(), self._speaking(TEACHER):
            yield

    @contextmanager
    def as_base(self) -> Iterator[None]:
        """The UNet predicts as the base without any adapter, without gradient."""
        with torch.no_grad(), self._speaking(None):
            yield

    @contextmanager
    def merged(self, name: str = STUDENT) -> Iterator[None]:
        """Predict as `name` with LoRA added into the weights: faster, for many forwards without
        gradient.

        The base's own weight tensors are set aside and put back, so they come back bit for bit.
        """
        kept = {key: layer.get_base_layer().weight.data for key, layer in self.layers.items()}
        try:
            with torch.no_grad(), self._speaking(None):
                for key, layer in self.layers.items():
                    up, down = layer.lora_B[name].weight, layer.lora_A[name].weight
                    change = (up.flatten(1) @ down.flatten(1)).view_as(kept[key])
                    whole = kept[key].float() + layer.scaling[name] * change
                    layer.get_base_layer().weight.data = whole.to(kept[key].dtype)
                yield
        finally:
            for key, layer in self.layers.items():
                layer.get_base_layer().weight.data = kept[key]


def _switch(layer: LoraLayer, name: str | None) -> None:
    # inference_mode and the caller's restored flags undo what these two do to requires_grad
    layer.enable_adapters(name is not None)
    if name is not None:
        layer.set_adapter(name, inference_mode=True)


class Guard:
    """Proof, after some steps, that the student trains and that nothing else moved."""

    def __init__(self, adapter: Adapter, rows: list[nn.Parameter]) -> None:
        self.adapter, self.rows = adapter, rows
        base = adapter.base
        mine = {id(p) for p in adapter.parameters(STUDENT)} | {id(p) for p in rows}
        self.earlier = [
            row for table in base.token_tables for row in table.rows.values() if id(row) not in mine
        ]
        modules = (base.unet, base.vae, *base.text_encoders)
        self.frozen = [p for m in modules for p in m.parameters() if id(p) not in mine]
        # torch counts in-place changes of a tensor: an exact check, and free even for a large base
        self.versions = [p._version for p in self.frozen]
        self.copies = [p.detach().clone() for p in self._still()]
        self.start = [p.detach().clone() for p in self._moving()]

    def _still(self) -> list[nn.Parameter]:
        return [*self.adapter.parameters(TEACHER), *self.earlier]

    def _moving(self) -> list[nn.Parameter]:
        return [*self.adapter.parameters(STUDENT), *self.rows]

    def check(self, *, adapter_moves: bool = True, rows_move: bool = True) -> None:
        """LfsdError if the student or the new rows stand still, or anything else has moved."""
        moved = [not torch.equal(p, s) for p, s in zip(self._moving(), self.start, strict=True)]
        count = len(self.adapter.parameters(STUDENT))
        if adapter_moves and not any(moved[:count]):
            raise LfsdError("the student does not train: its LoRA matrices stand still", BUG)
        if rows_move and not any(moved[count:]):
            raise LfsdError("the new token's embedding row does not train", BUG)
        if any(p._version != v for p, v in zip(self.frozen, self.versions, strict=True)):
            raise LfsdError("the teacher or the base model changed while the student trained", BUG)
        if not all(torch.equal(p, c) for p, c in zip(self._still(), self.copies, strict=True)):
            raise LfsdError("the teacher or an earlier concept's row changed during training", BUG)


BUG = "this is a fault in lfsd, not in your photos; nothing was saved"
