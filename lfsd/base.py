"""BaseModel: a Stable Diffusion folder as the method sees it, whatever its layout."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as hf_logging

from lfsd.attention import install_processors
from lfsd.device import pick_device, pick_dtype
from lfsd.errors import BaseUnavailableError, UsageError
from lfsd.locate import POCKET, layout_of, locate_base, resolve_base
from lfsd.norm import install_norms
from lfsd.tokens import TokenTable
from store.records import BaseRef

FULL_WIDTH = 320
"""Channels at the first level of Stable Diffusion's UNets; defaults are made for these."""

__all__ = ["POCKET", "BaseModel", "TextStates", "layout_of", "locate_base", "resolve_base"]


class TextStates(NamedTuple):
    """What the UNet is told: hidden [B,L,D] and, for SDXL, pooled [B,P]."""

    hidden: Tensor
    pooled: Tensor | None = None

    def __getitem__(self, index: Any) -> "TextStates":  # type: ignore[override]
        """Some of the batch."""
        return TextStates(self.hidden[index], None if self.pooled is None else self.pooled[index])

    @staticmethod
    def cat(states: Sequence["TextStates"]) -> "TextStates":
        """One batch after another."""
        pooled = [s.pooled for s in states if s.pooled is not None]
        return TextStates(
            torch.cat([s.hidden for s in states]), torch.cat(pooled) if pooled else None
        )

    def detach(self) -> "TextStates":
        """Without gradient."""
        return TextStates(
            self.hidden.detach(), None if self.pooled is None else self.pooled.detach()
        )


class BaseModel:
    """Tokenizers, text encoders, VAE, UNet and noise schedule of one frozen base model."""

    def __init__(
        self, folder: Path, ref: BaseRef, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.folder, self.ref, self.device, self.dtype = folder, ref, device, dtype
        sdxl = ref.layout == "sdxl"
        names = ["", "_2"] if sdxl else [""]
        classes = [CLIPTextModel, CLIPTextModelWithProjection] if sdxl else [CLIPTextModel]
        self.pristine_tokenizers = [_part(CLIPTokenizer, folder, "tokenizer" + n) for n in names]
        self.tokenizers = [copy.deepcopy(t) for t in self.pristine_tokenizers]
        self.text_encoders: list[nn.Module] = [
            _part(c, folder, "text_encoder" + n) for c, n in zip(classes, names, strict=True)
        ]
        self.vae: AutoencoderKL = _part(AutoencoderKL, folder, "vae")
        # on a CPU bf16 pays under autocast, with weights kept in float32; elsewhere weights shrink
        # too
        unet_dtype = torch.float32 if device.type == "cpu" else dtype
        self.unet: UNet2DConditionModel = _part(UNet2DConditionModel, folder, "unet", unet_dtype)
        schedule = _part(DDPMScheduler, folder, "scheduler")
        self.scheduler_config: dict[str, Any] = dict(
            DDPMScheduler.load_config(folder, subfolder="scheduler")
        )
        self.prediction_type: str = schedule.config.prediction_type
        self.num_train_timesteps: int = schedule.config.num_train_timesteps
        self.alphas_cumprod: Tensor = schedule.alphas_cumprod.to(device)
        # the schedule's own places for few steps, which DFKD walks; a copy because it carries state
        self.ddpm = schedule
        self.latent_channels: int = self.unet.config.in_channels
        self.vae_scale: int = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.resolution: int = int(self.unet.config.sample_size) * self.vae_scale
        index = DDPMScheduler.load_config(folder / "model_index.json")
        self.zero_empty_prompt = bool(sdxl and index.get("force_zeros_for_empty_prompt", False))
        self.token_tables = [_wrap_table(encoder) for encoder in self.text_encoders]
        for encoder, tokenizer in zip(self.text_encoders, self.tokenizers, strict=True):
            _find_true_end(encoder, tokenizer)
        self._place()

    @classmethod
    def load(
        cls,
        base: str | Path = POCKET,
        revision: str | None = None,
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        ref: BaseRef | None = None,
    ) -> "BaseModel":
        """Load "pocket", a folder or a hub id; `ref` spares the content hash when it is known
        already.

        BaseUnavailableError if there is none or it is not in the Stable Diffusion layout.
        """
        folder = locate_base(str(base), revision)
        where = pick_device(device)
        ref = ref or resolve_base(str(base), revision)
        return cls(folder, ref, where, pick_dtype(where, precision))

    def _place(self) -> None:
        layout = torch.channels_last if self.device.type != "mps" else torch.preserve_format
        self.unet.to(memory_format=layout)
        self.vae.to(memory_format=layout)
        for module in (self.unet, self.vae, *self.text_encoders):
            module.to(self.device).eval().requires_grad_(False)
        install_processors(self.unet)
        install_norms(self.unet)

    @property
    def width(self) -> int:
        """The UNet's channels at its first level."""
        return int(self.unet.config.block_out_channels[0])

    @property
    def narrow(self) -> bool:
        """Whether the UNet is narrower than Stable Diffusion's."""
        return self.width < FULL_WIDTH

    @property
    def tokens(self) -> list[str]:
        """The placeholder tokens inserted now."""
        return list(self.token_tables[0].rows)

    def resolution_of(self, wanted: int | None) -> int:
        """The side in pixels to work at: the base's own, or what was asked for, if the UNet can
        halve it."""
        side = wanted or self.resolution
        unit = self.vae_scale * 2 ** (len(self.unet.config.block_out_channels) - 1)
        if side < unit or side % unit:
            raise UsageError(
                f"resolution {side} does not fit this base", f"use a multiple of {unit}"
            )
        return side

    def autocast(self) -> AbstractContextManager[Any]:
        """The mixed precision this base computes in; nothing for float32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    # text

    def tokenize(self, prompts: Sequence[str], encoder: int = 0) -> Tensor:
        """[B,L] ids as the encoder takes them: begin, words (a token as its rows), end, padding."""
        tokenizer, table = self.tokenizers[encoder], self.token_tables[encoder]
        own = {tokenizer.convert_tokens_to_ids(t): table.ids(t) for t in table.rows}
        positions = self.text_encoders[encoder].config.max_position_embeddings
        length = min(tokenizer.model_max_length, positions)
        rows = []
        for prompt in prompts:
            ids = tokenizer(
                prompt, add_special_tokens=False, truncation=True, max_length=length - 2
            ).input_ids
            words = [i for word in ids for i in own.get(word, (word,))][: length - 2]
            line = [tokenizer.bos_token_id, *words, tokenizer.eos_token_id]
            rows.append(line + [tokenizer.pad_token_id] * (length - len(line)))
        return torch.tensor(rows, device=self.device)

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Text states of the prompts, differentiable with respect to token rows that require
        gradient."""
        with self.autocast():
            if self.ref.layout == "sdxl":
                states = self._encode_text_sdxl(prompts)
            else:
                states = TextStates(self.text_encoders[0](self.tokenize(prompts))[0])
        if self.zero_empty_prompt and "" in prompts:
            keep = torch.tensor([float(p != "") for p in prompts], device=self.device)
            assert states.pooled is not None
            states = TextStates(states.hidden * keep[:, None, None], states.pooled * keep[:, None])
        return states

    def _encode_text_sdxl(self, prompts: Sequence[str]) -> TextStates:
        outs = [
            encoder(self.tokenize(prompts, i), output_hidden_states=True)
            for i, encoder in enumerate(self.text_encoders)
        ]
        hidden = torch.cat([out.hidden_states[-2] for out in outs], -1)
        return TextStates(hidden, outs[-1].text_embeds)

    # latents

    def predict(
        self,
        latents: Tensor,
        t: Tensor | int,
        text: TextStates,
        *,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> Tensor:
        """The UNet's prediction [B,C,h,w] in its own parametrisation, as float32; t is [B] or one
        number."""
        added = None
        if text.pooled is not None:
            side = float(self.resolution)
            ids = torch.tensor([[side, side, 0.0, 0.0, side, side]], device=latents.device)
            added = {"text_embeds": text.pooled, "time_ids": ids.expand(len(latents), -1)}
        if self.device.type != "mps":
            latents = latents.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            return self.unet(
                latents,
                t,
                text.hidden,
                added_cond_kwargs=added,
                cross_attention_kwargs=cross_attention_kwargs,
            ).sample.float()

    @torch.no_grad()
    def encode_images(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pixels [B,3,H,W] in -1..1 to scaled latents [B,C,h,w]: sampled, or the mode without
        generator."""
        found = self.vae.encode(pixels.to(self.device, torch.float32)).latent_dist
        latents = found.mode() if generator is None else found.sample(generator)
        shift = self.vae.config.get("shift_factor") or 0.0
        return (latents - shift) * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Scaled latents [B,C,h,w] to pictures, uint8 [B,H,W,3]."""
        shift = self.vae.config.get("shift_factor") or 0.0
        pixels = self.vae.decode(latents.float() / self.vae.config.scaling_factor + shift).sample
        pixels = ((pixels.clamp(-1, 1) + 1) * 127.5).round()
        return pixels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Latents at timestep t: sqrt(a_t) x + sqrt(1 - a_t) noise; t is [B] or a scalar tensor."""
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * latents + (1 - a).sqrt() * noise

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the UNet should predict for `add_noise(latents, noise, t)`."""
        if self.prediction_type == "epsilon":
            return noise
        if self.prediction_type == "sample":
            return latents
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * noise - (1 - a).sqrt() * latents


def _part(kind: Any, folder: Path, name: str, dtype: torch.dtype = torch.float32) -> Any:
    further: dict[str, Any] = {}
    if kind not in (CLIPTokenizer, DDPMScheduler):
        further["use_safetensors"] = True
        # the two libraries each have their own word for it
        further["torch_dtype" if kind.__module__.startswith("diffusers") else "dtype"] = dtype
    try:
        with silent():
            return kind.from_pretrained(folder, subfolder=name, local_files_only=True, **further)
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BaseUnavailableError(
            f"cannot load {name} of {folder}: {first}",
            "the base must be in the Stable Diffusion layout, with safetensors weights",
        ) from error


@contextmanager
def silent() -> Iterator[None]:
    """Keep the libraries' own progress bars and warnings of unused keys off the terminal.

    The method speaks by events only.
    """
    levels = hf_logging.get_verbosity(), diffusers_logging.get_verbosity()
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    diffusers_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(levels[0])
        diffusers_logging.set_verbosity(levels[1])
        if bars:
            hf_logging.enable_progress_bar()


def _text_model(encoder: nn.Module) -> Any:
    return getattr(encoder, "text_model", encoder)


def _wrap_table(encoder: nn.Module) -> TokenTable:
    embeddings = _text_model(encoder).embeddings
    embeddings.token_embedding = TokenTable(embeddings.token_embedding)
    return embeddings.token_embedding


def _find_true_end(encoder: nn.Module, tokenizer: Any) -> None:
    # Old configs say eos 2, upon which transformers pools at the HIGHEST id: with a placeholder in
    # the
    # prompt that would be the placeholder.
    _text_model(encoder).eos_token_id = tokenizer.eos_token_id
