"""Tiny base models of every layout, from the real diffusers and transformers classes, seeded."""

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

LAYOUTS = ("sd1", "sd2", "sdxl", "pocket")
"""SD 1.x (epsilon), SD 2.x (v), SDXL (two encoders, added conditions), pocket-like (v, 8 channels,
judge)."""

WORDS = (
    "a an the of on in at with and photo picture cat dog teapot car toy beach snow grass red blue "
    "green yellow tiger apple wooden floor plain background closeup small"
).split()


def tiny_base(layout: str, folder: Path | None = None) -> Path:
    """The folder of a tiny base; made once per process in a temporary folder unless one is
    given."""
    return _cached(layout) if folder is None else _build(layout, folder)


@functools.cache
def _cached(layout: str) -> Path:
    # kept referenced on the function, so that it lives as long as the process does
    holder = tempfile.TemporaryDirectory(prefix=f"tiny-{layout}-")
    _holders.append(holder)
    return _build(layout, Path(holder.name) / layout)


_holders: list[Any] = []


def _build(layout: str, folder: Path) -> Path:
    torch.manual_seed(LAYOUTS.index(layout))
    tokenizer = _tokenizer(length=16)
    sdxl, pocket = layout == "sdxl", layout == "pocket"
    channels = 8 if pocket else 4
    text = CLIPTextModel(_text_config(tokenizer, legacy_end=layout == "sd1")).eval()
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline" if sdxl else "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if sdxl:
        second = CLIPTextModelWithProjection(_text_config(tokenizer, legacy_end=True)).eval()
        second.save_pretrained(folder / "text_encoder_2")
        tokenizer.save_pretrained(folder / "tokenizer_2")
        index["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
        index["tokenizer_2"] = ["transformers", "CLIPTokenizer"]
        index["force_zeros_for_empty_prompt"] = True
    else:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    if pocket:
        _judge(tokenizer).save_pretrained(folder / "image_encoder")
    text.save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    _vae(channels).save_pretrained(folder / "vae")
    _unet(channels, sdxl).save_pretrained(folder / "unet")
    _scheduler(layout).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))
    return folder


def _tokenizer(length: int) -> CLIPTokenizer:
    letters = [chr(c) for c in range(33, 127)]
    vocab = [*letters, *(letter + "</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in sorted(
        WORDS, key=len, reverse=True
    ):  # so that no short word's merge splits a longer
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            if pair not in merges:
                merges.append(pair)
                vocab.append("".join(pair))
            parts = ["".join(pair), *parts[2:]]
    vocab = [*dict.fromkeys(vocab), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: i for i, word in enumerate(vocab)}, merges=merges, model_max_length=length
    )


def _text_config(tokenizer: CLIPTokenizer, *, legacy_end: bool) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        # SD 1.x and SDXL ship this wrong value; transformers then pools at the highest id
        eos_token_id=2 if legacy_end else tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _vae(channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(16, 16),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=32,
    ).eval()


def _unet(channels: int, sdxl: bool) -> UNet2DConditionModel:
    further: dict[str, Any] = {"cross_attention_dim": 32}
    if sdxl:
        further = {
            "cross_attention_dim": 64,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 32 + 6 * 8,
            "transformer_layers_per_block": (1, 2),
            "use_linear_projection": True,
        }
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=(2, 4),
        norm_num_groups=8,
        **further,
    ).eval()


def _scheduler(layout: str) -> DDIMScheduler:
    v_model = layout in ("sd2", "pocket")
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction" if v_model else "epsilon",
        timestep_spacing="trailing" if layout == "pocket" else "leading",
    )


def _judge(tokenizer: CLIPTokenizer) -> CLIPModel:
    text = _text_config(tokenizer, legacy_end=False).to_dict()
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
        "projection_dim": 32,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)).eval()
