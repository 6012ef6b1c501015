"""The denoising loop: schedule, guidance, seeds, and contexts fed to the conditional branch.

Words decide early what a picture shows, contexts late how it looks. On a narrow UNet guidance ends
where contexts begin, so that it does not multiply what they add (decision 30), and subjects have
their shape from contexts (`lfsd.blending`).
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from lfsd.base import BaseModel, TextStates
from lfsd.blending import Blend
from lfsd.context import ContextBank
from lfsd.distill import clean_and_noise

SAMPLERS = {"dpm++": "DPM++ 2M", "ddim": "DDIM"}
"""Our name -> the name A1111 readers know."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a picture is drawn from the model; everything here goes into its provenance."""

    steps: int = 30
    guidance: float = 5.0
    """Classifier-free guidance scale; 1 leaves the unconditional branch out."""
    guidance_fraction: float | None = None
    """Share of the steps, from the first, that are guided (arXiv 2404.07724).
    None: 0.5 for a UNet narrower than Stable Diffusion's, whose pictures it spoils late; else 1."""
    guidance_rescale: float | None = None
    """0..1: pull the guided prediction's spread back to the conditional's (arXiv 2305.08891).
    None: 0.7, the paper's figure, for models that predict v, whose colours saturate; else 0."""
    sampler: Literal["dpm++", "ddim"] = "dpm++"
    negative: str = ""
    icgen: Literal["attend", "canvas", "off"] = "attend"
    context_strength: float = 1.0
    context_fraction: float = 0.5
    """Share of the steps, up to the last, that see contexts."""
    context_blend: float | None = None
    """Share of the steps, from the first, that have a subject's shape from a context.
    None: 0.7 for a UNet narrower than Stable Diffusion's, which bends shapes; else 0."""
    context_masked: bool = True
    contexts: int = 4
    """How many of a concept's contexts take part, the first chosen."""
    batch: int = 4
    """Pictures per forward; halved by itself when memory runs out."""

    def fitted(self, base: BaseModel) -> "Sampling":
        """The same with what `base` decides filled in."""
        usual = {
            "guidance_fraction": 0.5 if base.narrow else 1.0,
            "guidance_rescale": 0.7 if base.prediction_type == "v_prediction" else 0.0,
            "context_blend": 0.7 if base.narrow else 0.0,
        }
        return replace(self, **{k: v for k, v in usual.items() if getattr(self, k) is None})

    def guides(self, step: int) -> bool:
        """Whether step `step`, of which 0 is the noisiest, has an unconditional branch."""
        share = 1.0 if self.guidance_fraction is None else self.guidance_fraction
        return self.guidance != 1 and step < round(share * self.steps)

    def blends(self, step: int) -> bool:
        """Whether step `step` is one of those that a context's shape goes into."""
        return step < round((self.context_blend or 0.0) * self.steps)


def build_scheduler(config: Mapping[str, Any], sampler: str) -> Any:
    """The diffusers scheduler `sampler` on the base's own noise schedule."""
    kind = {"dpm++": DPMSolverMultistepScheduler, "ddim": DDIMScheduler}[sampler]
    known = inspect.signature(kind.__init__).parameters
    options = {key: value for key, value in config.items() if key in known}
    if config.get("prediction_type") == "v_prediction":
        # v models are trained down to (nearly) no signal, so sampling must begin at the last t
        options["timestep_spacing"] = "trailing"
    if sampler == "ddim":
        # clipping to -1..1 is for pixels, these are latents
        options |= {"clip_sample": False}
    return kind(**options)


def picture_noise(seed: int, count: int, shape: tuple[int, ...]) -> Tensor:
    """Starting noise [count,*shape], float32: picture i from its own generator seeded seed+i.

    Drawn on the CPU, so a seed means the same picture on every device and in every batch.
    """
    return torch.stack(
        [
            torch.randn(shape, generator=torch.Generator().manual_seed(seed + i))
            for i in range(count)
        ]
    )


def guided(cond: Tensor, uncond: Tensor, scale: float, rescale: float) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598), rescaled as in arXiv 2305.08891, eq. 16."""
    out = uncond + scale * (cond - uncond)
    if not rescale:
        return out
    axes = tuple(range(1, cond.ndim))
    spread = cond.std(axes, keepdim=True) / out.std(axes, keepdim=True)
    return out * (rescale * spread + 1 - rescale)


def predict_branches(
    base: BaseModel,
    latents: Tensor,
    t: int,
    text: TextStates,
    negative: TextStates | None,
    bank: ContextBank | None,
) -> tuple[Tensor, Tensor | None]:
    """Conditional and unconditional predictions [B,C,h,w]; contexts reach the first one only.

    One forward: conditional rows, unconditional rows, and contexts not yet recorded at this t.
    """
    if bank is not None and bank.feed == "canvas":
        return _predict_canvas(base, latents, t, text, negative, bank)
    count = len(latents)
    rows, texts = [latents], [text]
    if negative is not None:
        rows.append(latents)
        texts.append(negative)
    control = None if bank is None else bank.control(count, t)
    if bank is not None and control is not None and control.feed and control.feed.riding:
        rows.append(bank.at(t))
        texts.append(bank.text)
    out = base.predict(
        torch.cat(rows),
        t,
        TextStates.cat(texts),
        cross_attention_kwargs=None if control is None else control.kwargs(),
    )
    if bank is not None and control is not None:
        control.check_used()
        bank.remember(t, control)
    return out[:count], out[count : 2 * count] if negative is not None else None


def _predict_canvas(
    base: BaseModel,
    latents: Tensor,
    t: int,
    text: TextStates,
    negative: TextStates | None,
    bank: ContextBank,
) -> tuple[Tensor, Tensor | None]:
    width = latents.shape[3]
    beside = bank.canvas(t).expand(len(latents), -1, -1, -1)
    cond = base.predict(torch.cat([beside, latents], dim=3), t, text)[..., -width:]
    return cond, None if negative is None else base.predict(latents, t, negative)


@torch.no_grad()
def sample(
    base: BaseModel,
    noise: Tensor,
    text: TextStates,
    negative: TextStates | None,
    sampling: Sampling,
    *,
    bank: ContextBank | None = None,
    blend: Blend | None = None,
    on_step: Callable[[int, Callable[[], Tensor]], None] = lambda _step, _clean: None,
) -> Tensor:
    """Denoise [B,C,h,w] of noise under B text states into clean latents, float32.

    `on_step` hears the number of the step and can ask for the clean latents it predicted.
    Without `negative`, at guidance 1 and after its share of the steps there is no unconditional
    branch; `blend` has its own share of them.
    """
    sampling = sampling.fitted(base)
    scheduler = build_scheduler(base.scheduler_config, sampling.sampler)
    scheduler.set_timesteps(sampling.steps, device=base.device)
    timesteps: list[int] = scheduler.timesteps.tolist()
    latents = noise.to(base.device) * scheduler.init_noise_sigma
    for index, t in enumerate(timesteps):
        active = bank if bank is not None and bank.active(index, len(timesteps)) else None
        model_input = scheduler.scale_model_input(latents, t)
        away = negative if sampling.guides(index) else None
        cond, uncond = predict_branches(base, model_input, t, text, away, active)
        if uncond is not None:
            cond = guided(cond, uncond, sampling.guidance, sampling.guidance_rescale or 0.0)
        a = base.alphas_cumprod[t]
        if blend is not None and sampling.blends(index):
            cond = blend(cond, model_input, a, base.prediction_type)
        latents = scheduler.step(cond, scheduler.timesteps[index], latents, return_dict=False)[0]
        on_step(index + 1, partial(_predicted, cond, model_input, a, base.prediction_type))
    return latents


def _predicted(pred: Tensor, noisy: Tensor, a: Tensor, kind: str) -> Tensor:
    return clean_and_noise(pred, noisy, a, kind)[0]
