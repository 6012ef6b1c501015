"""Prompt to pictures, each with its provenance."""

import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

import lfsd
from lfsd.attention import LfsdAttention, install_processors
from lfsd.base import BaseModel
from lfsd.blending import Blending
from lfsd.context import ConceptContext, ContextBank, context_bank
from lfsd.errors import ResourceError
from lfsd.events import EventCallback, Notice, ignore
from lfsd.events import Sampling as SamplingEvent
from lfsd.live import LivePicture
from lfsd.sampler import SAMPLERS, Sampling, picture_noise, sample

if TYPE_CHECKING:
    from lfsd.adapter import Adapter


@dataclass(frozen=True)
class Picture:
    """One generated picture and everything needed to make it again."""

    image: Image.Image
    seed: int
    concepts: tuple[str, ...]
    provenance: dict[str, Any]


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def in_batches(
    total: int, batch: int, make: Callable[[int, int], list[Any]], on_event: EventCallback = ignore
) -> list[Any]:
    """Collect make(start, count) over `total` items; halves the batch when memory runs out.

    Raises ResourceError when one item alone does not fit.
    """
    made: list[Any] = []
    while len(made) < total:
        count = min(batch, total - len(made))
        try:
            made.extend(make(len(made), count))
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if count == 1:
                raise ResourceError(
                    "out of memory, even with one picture at a time",
                    hint="close other programs, or use --device cpu",
                ) from error
            batch = count // 2
            on_event(Notice(f"out of memory: going on with {batch} at a time"))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return made


def latent_shape(base: BaseModel) -> tuple[int, int, int]:
    """[C,h,w] of the base's own resolution."""
    side = base.resolution // base.vae_scale
    return base.latent_channels, side, side


@torch.no_grad()
def make_images(
    base: BaseModel,
    prompts: Sequence[str],
    seeds: Sequence[int],
    sampling: Sampling,
    *,
    bank: ContextBank | None = None,
    on_event: EventCallback = ignore,
    live: Path | None = None,
) -> list[Image.Image]:
    """One picture per prompt, from the model as it stands (its adapter on or off, its tokens).

    Prompts may differ within a batch; the bank's contexts are for all of them. A picture under way
    is kept as a PNG at `live`.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts but {len(seeds)} seeds")
    if not all(isinstance(p, LfsdAttention) for p in base.unet.attn_processors.values()):
        install_processors(base.unet)
    sampling = sampling.fitted(base)
    unique = list(dict.fromkeys(prompts))
    encoded = base.encode_text([*unique, sampling.negative])
    shape = latent_shape(base)
    blending = None if bank is None else bank.blending
    taking_shape = None if live is None else LivePicture(base, live, on_event)

    def make(start: int, count: int) -> list[Image.Image]:
        asked, own = prompts[start : start + count], seeds[start : start + count]
        noise = torch.cat([picture_noise(s, 1, shape) for s in own])
        done = start * sampling.steps

        def step_done(step: int, clean: Callable[[], Tensor]) -> None:
            on_event(SamplingEvent(done + step * count, sampling.steps * len(prompts)))
            if taking_shape is not None:
                taking_shape.show(step, clean)

        latents = sample(
            base,
            noise,
            encoded[[unique.index(p) for p in asked]],
            encoded[[len(unique)] * count],
            sampling,
            bank=bank,
            blend=None if blending is None else blending.at(own),
            on_step=step_done,
        )
        return [Image.fromarray(pixels) for pixels in base.decode(latents)]

    return in_batches(len(prompts), sampling.batch, make, on_event)


def library_versions() -> dict[str, str]:
    """Versions of everything a picture or a session depends on."""
    names = ("torch", "diffusers", "transformers", "peft")
    return {"lfsd": lfsd.__version__, **{name: version(name) for name in names}}


def provenance_of(
    base: BaseModel,
    prompt: str,
    sampling: Sampling,
    *,
    seed: int,
    contexts: Sequence[ConceptContext],
    concepts: Sequence[str],
    session: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """JSON-able record of how one picture is made."""
    settings = asdict(sampling)
    settings.pop("batch")
    return {
        **settings,
        "prompt": prompt,
        "sampler": SAMPLERS[sampling.sampler],
        "seed": seed,
        "concepts": list(concepts),
        "contexts": {c.token: len(c.latents) for c in contexts},
        "session": dict(session) if session else None,
        "base": {
            "id": base.ref.id,
            "revision": base.ref.revision,
            "sha256": base.ref.sha256,
            "layout": base.ref.layout,
        },
        "size": f"{base.resolution}x{base.resolution}",
        "versions": library_versions(),
    }


def generate(
    base: BaseModel,
    adapter: "Adapter | None",
    prompt: str,
    *,
    n: int = 1,
    seed: int | None = None,
    sampling: Sampling | None = None,
    contexts: Sequence[ConceptContext] = (),
    concepts: Sequence[str] | None = None,
    session: Mapping[str, Any] | None = None,
    on_event: EventCallback = ignore,
    live: Path | None = None,
) -> list[Picture]:
    """Draw n pictures of a prompt whose concepts' contexts are given; the base holds their tokens.

    Picture i uses seed+i and does not depend on the batch. `concepts` are the tokens found in the
    prompt (default: those of the contexts); `session` goes into the provenance; `live` is where a
    picture under way is kept as a PNG. Raises ResourceError when memory does not suffice for one
    picture.
    """
    sampling = (sampling or Sampling()).fitted(base)
    seed = secrets.randbelow(2**31) if seed is None else seed
    tokens = tuple(concepts if concepts is not None else (c.token for c in contexts))
    seeds = [seed + i for i in range(n)]
    with adapter.merged() if adapter is not None else contextlib.nullcontext():
        bank = bank_for(base, contexts, sampling)
        if bank is not None and len(contexts) < len(tokens):
            bank.blending = None  # a concept without contexts would have no place
        if bank is None or bank.blending is None:
            sampling = replace(sampling, context_blend=0.0)
        images = make_images(
            base, [prompt] * n, seeds, sampling, bank=bank, on_event=on_event, live=live
        )
    used = contexts if bank is not None else ()
    return [
        Picture(
            image,
            s,
            tokens,
            provenance_of(
                base,
                prompt,
                sampling,
                seed=s,
                contexts=used,
                concepts=tokens,
                session=session,
            ),
        )
        for image, s in zip(images, seeds, strict=True)
    ]


def bank_for(
    base: BaseModel, contexts: Sequence[ConceptContext], sampling: Sampling
) -> ContextBank | None:
    """The contexts as `sampling` wants them fed and blended in, or None."""
    seen = [context.first(sampling.contexts) for context in contexts]
    bank = context_bank(
        base,
        seen,
        feed=sampling.icgen,
        strength=sampling.context_strength,
        fraction=sampling.context_fraction,
        masked=sampling.context_masked,
    )
    if bank is not None and sampling.context_masked and sampling.fitted(base).context_blend:
        bank.blending = Blending.of(base, seen)
    return bank
