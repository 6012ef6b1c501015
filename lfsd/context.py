"""Vision contexts: which photos to keep, and how they take part in generation (ICGen).

Feed `attend`: the contexts, noised to the current t, ride in the UNet's forward under "a photo of
a V1 cat" and their self-attention keys and values are appended to those of the conditional rows.
Feed `canvas`: the contexts stand beside the target in one wide latent and are put back, noised to
the current t, before every step. Either way they touch the conditional branch only.

Before that they may also give a subject its shape (`lfsd.blending`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lfsd.attention import AttentionControl, ContextFeed, ContextWeights, States
from lfsd.prompts import concept_words, fill

if TYPE_CHECKING:
    from lfsd.base import BaseModel, TextStates
    from lfsd.blending import Blending

Choice = Literal["first", "medoid", "spread"]
Feed = Literal["attend", "canvas"]

STRENGTH_LIMIT = 4.0
"""A context never counts for more than this many copies of the picture's own tokens."""

KEPT_AS = np.float16
"""How contexts are stored: what half precision leaves out is far below their noise."""

CACHE_BYTES = 512 * 2**20
"""Recorded keys and values are kept up to this size; beyond it contexts ride every forward."""


@dataclass(frozen=True)
class ConceptContext:
    """One concept's stored contexts: `latents` [K,C,h,w] float32, `masks` [K,h,w] 0..1 or None."""

    token: str
    class_noun: str
    latents: np.ndarray
    masks: np.ndarray | None = None

    @classmethod
    def of(
        cls, token: str, class_noun: str, stored: Sequence[Mapping[str, np.ndarray]]
    ) -> "ConceptContext | None":
        """The contexts as they are stored, "latent" [C,h,w] and "mask" [h,w] each; None of none."""
        if not stored:
            return None
        latents, masks = (
            np.stack([arrays[name] for arrays in stored]).astype(np.float32)
            for name in ("latent", "mask")
        )
        return cls(token, class_noun, latents, masks)

    @property
    def prompt(self) -> str:
        """The prompt that the context's own rows run under."""
        return fill("a photo of a {}", concept_words(self.token, self.class_noun))

    def first(self, count: int) -> "ConceptContext":
        """The same with at most `count` of its contexts."""
        masks = None if self.masks is None else self.masks[:count]
        return replace(self, latents=self.latents[:count], masks=masks)


def choose_contexts(features: np.ndarray, count: int, choice: Choice) -> list[int]:
    """Indices of the photos to keep as contexts, at most `count`, in order of choice.

    `features` [n,d], one row per photo (judge embeddings or flattened latents). `first` keeps the
    first ones; `medoid` those nearest the mean direction; `spread` begins with the medoid and adds
    whatever is farthest from those chosen (greedy k-center). Raises ValueError on a bad choice.
    """
    n = len(features)
    count = min(count, n)
    if count <= 0:
        return []
    if choice == "first":
        return list(range(count))
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    closeness = unit @ unit.mean(0)
    order = sorted(range(n), key=lambda i: (-closeness[i], i))
    if choice == "medoid":
        return order[:count]
    if choice != "spread":
        raise ValueError(f"unknown context choice {choice!r}")
    chosen = [order[0]]
    while len(chosen) < count:
        nearest = (unit @ unit[chosen].T).max(1)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return chosen


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A subject mask [H,W] averaged down (or interpolated up) to [h,w], float32 in 0..1."""
    tensor = torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))[None, None]
    shrinking = size[0] <= mask.shape[0] and size[1] <= mask.shape[1]
    resized = (
        F.adaptive_avg_pool2d(tensor, size)
        if shrinking
        else F.interpolate(tensor, size=size, mode="bilinear", align_corners=False)
    )
    return resized[0, 0].clamp(0, 1).numpy()


def noise_at(clean: Tensor, noise: Tensor, alpha_cumprod: Tensor | float) -> Tensor:
    """The forward process at one t: sqrt(a) z_0 + sqrt(1-a) noise (arXiv 2006.11239, eq. 4)."""
    alpha = torch.as_tensor(alpha_cumprod, dtype=torch.float32, device=clean.device)
    return (alpha.sqrt() * clean + (1 - alpha).sqrt() * noise).to(clean.dtype)


@dataclass
class ContextBank:
    """All contexts of the concepts in one prompt, ready for any number of forwards.

    `clean` [K,C,h,w] are the stored latents, `noise` [C,h,w] is fixed by a seed and shared,
    `weights` [K,h,w] holds strength and subject mask, `text` are the K rows' text states. The
    states at t depend on (adapter, contexts, t, noise seed) only, so they are recorded in the
    first forward at t and read back afterwards; call `forget()` when the adapter changes.
    `blending`, if any, is what the contexts' subjects give to the first steps.
    """

    clean: Tensor
    noise: Tensor
    weights: Tensor
    text: "TextStates"
    alphas_cumprod: Tensor
    feed: Feed = "attend"
    fraction: float = 1.0
    blending: "Blending | None" = None
    states: dict[int, States] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._levels = ContextWeights(self.weights)

    @property
    def count(self) -> int:
        """K, the number of contexts."""
        return self.clean.shape[0]

    def active(self, step: int, total: int) -> bool:
        """Whether sampling step `step` of `total` (0 is the noisiest) sees the contexts."""
        return step >= total - round(self.fraction * total)

    def at(self, t: int) -> Tensor:
        """The contexts noised to timestep t, [K,C,h,w]."""
        return noise_at(self.clean, self.noise, self.alphas_cumprod[t])

    def canvas(self, t: int) -> Tensor:
        """The contexts side by side, noised to t: [1,C,h,K*w]; what is masked out is blank."""
        seen = self.clean * (self.weights / self.weights.amax().clamp_min(1e-8))[:, None]
        return torch.cat(list(noise_at(seen, self.noise, self.alphas_cumprod[t])), dim=2)[None]

    def control(self, rows: int, t: int) -> AttentionControl:
        """A control under which the first `rows` rows see the contexts.

        The caller adds the contexts as last rows of the batch if `control.feed.riding` is not 0.
        """
        known = self.states.get(t)
        riding = self.count if known is None else 0
        return AttentionControl(ContextFeed(rows, riding, self._levels, known or {}))

    def remember(self, t: int, control: AttentionControl) -> None:
        """Keep what a forward recorded, as long as there is room."""
        feed = control.feed
        if feed is None or not feed.riding:
            return
        size = sum(k.nbytes + v.nbytes for k, v in feed.states.values())
        held = sum(k.nbytes + v.nbytes for s in self.states.values() for k, v in s.values())
        if held + size <= CACHE_BYTES:
            self.states[t] = feed.states

    def forget(self) -> None:
        """Drop the recorded states."""
        self.states.clear()


def context_weights(
    contexts: Sequence[ConceptContext], strength: float, *, masked: bool = True
) -> np.ndarray:
    """Strength times subject mask, [K,h,w] float32, for all contexts one after another."""
    strength = min(max(strength, 0.0), STRENGTH_LIMIT)
    parts = []
    for context in contexts:
        count, _, height, width = context.latents.shape
        weights = np.full((count, height, width), strength, dtype=np.float32)
        if masked and context.masks is not None:
            weights *= np.clip(context.masks, 0.0, 1.0)
        parts.append(weights)
    return np.concatenate(parts)


def fitted(context: ConceptContext, size: tuple[int, int]) -> ConceptContext:
    """The same context at latent size [h, w]: one learned at another resolution is resampled."""
    if context.latents.shape[2:] == size:
        return context
    latents = torch.from_numpy(context.latents.astype(np.float32))
    resized = F.interpolate(latents, size=size, mode="bilinear", antialias=True)
    masks = None
    if context.masks is not None:
        masks = np.stack([resize_mask(m, size) for m in context.masks])
    return ConceptContext(context.token, context.class_noun, resized.numpy(), masks)


@torch.no_grad()
def context_bank(
    base: "BaseModel",
    contexts: Sequence[ConceptContext],
    *,
    feed: Literal["attend", "canvas", "off"] = "attend",
    strength: float = 1.0,
    fraction: float = 1.0,
    masked: bool = True,
    noise_seed: int = 0,
) -> ContextBank | None:
    """The bank of all contexts of some concepts, or None when there is nothing to attend to.

    `fraction` is the share of sampling steps, up to the last, that see them. The base must hold
    the concepts' token rows.
    """
    contexts = [c for c in contexts if len(c.latents)]
    if not contexts or feed == "off" or strength <= 0 or fraction <= 0:
        return None
    side = base.resolution // base.vae_scale
    contexts = [fitted(c, (side, side)) for c in contexts]
    clean = torch.from_numpy(np.concatenate([c.latents for c in contexts]).astype(np.float32))
    generator = torch.Generator().manual_seed(noise_seed)
    noise = torch.randn(clean.shape[1:], generator=generator)
    weights = torch.from_numpy(context_weights(contexts, strength, masked=masked))
    prompts = [c.prompt for c in contexts for _ in range(len(c.latents))]
    return ContextBank(
        clean=clean.to(base.device),
        noise=noise.to(base.device),
        weights=weights.to(base.device),
        text=base.encode_text(prompts),
        alphas_cumprod=base.alphas_cumprod.to(base.device),
        feed=feed,
        fraction=min(fraction, 1.0),
    )
