"""The names and metadata by which A1111, Forge, ComfyUI and InvokeAI know a LoRA file.

They are those of kohya's sd-scripts: `lora_unet_`, the layer's name with underscores for dots, then
`.lora_down.weight`, `.lora_up.weight` and `.alpha`. For SDXL the layer has Stability's own name, in
which blocks are counted through. The metadata are sd-scripts' `ss_` keys and Stability's model
specification (`modelspec.`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lfsd.locate import POCKET

if TYPE_CHECKING:
    import numpy as np

Tensors = dict[str, "np.ndarray"]
SD2_TEXT_WIDTH = 1024
STABILITY = "https://github.com/Stability-AI/generative-models"
"""Whose layer names a file for SDXL has."""
_BLOCK = re.compile(r"(down_blocks|up_blocks)\.(\d+)\.(attentions|resnets)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(attentions|resnets)\.(\d+)\.(.+)")
_CONVOLUTIONS = {"conv1": "in_layers.2", "conv2": "out_layers.3"}


@dataclass(frozen=True)
class Kind:
    """What of a base model decides names and metadata."""

    id: str
    sdxl: bool
    v_prediction: bool
    layers_per_block: int
    text_width: int

    @property
    def architecture(self) -> str:
        """Its name in Stability's model specification."""
        if self.id == POCKET:
            return "lfsd-pocket/lora"
        if self.sdxl:
            return "stable-diffusion-xl-v1-base/lora"
        if self.text_width != SD2_TEXT_WIDTH:
            return "stable-diffusion-v1/lora"
        return f"stable-diffusion-v2-{'768-v' if self.v_prediction else '512'}/lora"

    @property
    def version(self) -> str:
        """Its name in sd-scripts' metadata."""
        if self.id == POCKET:
            return "lfsd_pocket"
        if self.sdxl:
            return "sdxl_base_v1-0"
        return "sd_v2" if self.text_width == SD2_TEXT_WIDTH else "sd_v1"


def layer_name(layer: str, kind: Kind) -> str:
    """The file's name for a UNet layer: `mid_block.attentions.0...` -> `lora_unet_mid_block_...`.

    Raises ValueError for a layer that a LoRA of ours never has.
    """
    return "lora_unet_" + (_in_stability(layer, kind) if kind.sdxl else layer).replace(".", "_")


def _in_stability(layer: str, kind: Kind) -> str:
    """A diffusers layer by its name in Stability's SDXL: `input_blocks.4.1...`."""
    if found := _MIDDLE.fullmatch(layer):
        part, number, rest = found.groups()
        place = "middle_block.1" if part == "attentions" else f"middle_block.{2 * int(number)}"
    elif found := _BLOCK.fullmatch(layer):
        side, block, part, number, rest = found.groups()
        down = side == "down_blocks"
        # each level has its layers and one resampling layer; the very first block is conv_in
        index = int(block) * (kind.layers_per_block + 1) + int(number) + down
        blocks = "input_blocks" if down else "output_blocks"
        place = f"{blocks}.{index}.{int(part == 'attentions')}"
    else:
        raise ValueError(f"no layer of a UNet that LoRA adapts: {layer}")
    return f"{place}.{_CONVOLUTIONS.get(rest, rest)}"


def lora(matrices: Tensors, kind: Kind) -> Tensors:
    """The file's tensors from peft's `<layer>.lora_A.weight` and `<layer>.lora_B.weight`.

    alpha is the rank: the scale must be in the matrices already.
    """
    import numpy as np

    found: Tensors = {}
    for key, down in matrices.items():
        layer, side = key.split(".lora_")
        if side != "A.weight":
            continue
        name, up = layer_name(layer, kind), matrices[f"{layer}.lora_B.weight"]
        found[f"{name}.alpha"] = np.array(down.shape[0], dtype=np.float32)
        found[f"{name}.lora_down.weight"], found[f"{name}.lora_up.weight"] = down, up
    return found


def metadata(
    kind: Kind, rank: int, title: str, triggers: Sequence[str], resolution: int, date: str
) -> Mapping[str, str]:
    """What the file says of itself: its base, rank and trigger words."""
    return {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
        "ss_base_model_version": kind.version,
        "ss_v2": str(kind.version == "sd_v2"),
        "ss_output_name": title,
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": kind.architecture,
        "modelspec.implementation": STABILITY if kind.sdxl else "diffusers",
        "modelspec.title": title,
        "modelspec.date": date,
        "modelspec.trigger_phrase": ", ".join(triggers),
        "modelspec.resolution": f"{resolution}x{resolution}",
        "modelspec.prediction_type": "v" if kind.v_prediction else "epsilon",
    }
