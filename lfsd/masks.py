"""Where the subject is: weights for L_DM and for a context's tokens."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lfsd.attention import AttentionControl, TokenMaps
from lfsd.base import BaseModel, TextStates
from lfsd.context import resize_mask
from lfsd.photos import PreparedPhoto


def saliency_masks(photos: Sequence[PreparedPhoto], size: tuple[int, int]) -> np.ndarray:
    """The photos' own subject masks at latent size: [P,h,w] float32 in 0..1."""
    return np.stack([resize_mask(photo.mask, size) for photo in photos])


@torch.no_grad()
def attention_masks(
    base: BaseModel, latents: Tensor, words: str, at: Sequence[float] = (0.3, 0.5)
) -> np.ndarray:
    """Where the words draw cross-attention in these latents [P,C,h,w]: [P,h,w] float32 in 0..1.

    The latents are noised to the given fractions of the schedule and predicted under "a photo of a
    <words>"; the maps of all layers and fractions are averaged. As no concept is learned yet when a
    session begins, `words` is its class noun.
    """
    text = base.encode_text([f"a photo of a {words}"])
    count = len(latents)
    states = TextStates(
        text.hidden.expand(count, -1, -1),
        None if text.pooled is None else text.pooled.expand(count, -1),
    )
    select = _positions(base, words).expand(count, -1)
    generator = torch.Generator().manual_seed(0)
    size = (latents.shape[2], latents.shape[3])
    found = []
    for fraction in at:
        t = torch.tensor(int(fraction * (base.num_train_timesteps - 1)), device=latents.device)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        control = AttentionControl(maps=TokenMaps(select))
        noisy = base.add_noise(latents, noise, t)
        base.predict(noisy, t, states, cross_attention_kwargs=control.kwargs())
        assert control.maps is not None
        found.append(control.maps.combined(size))
    return torch.stack(found).mean(0).float().cpu().numpy()


def _positions(base: BaseModel, words: str) -> Tensor:
    """[1,L] marks of where `words` stand at the end of "a photo of a <words>"."""
    ids = base.tokenize([f"a photo of a {words}", "a photo of a"])
    end = base.tokenizers[0].eos_token_id
    last, first = ((ids == end).int().argmax(dim=1)).tolist()
    select = torch.zeros(1, ids.shape[1], device=ids.device)
    select[0, first:last] = 1
    return select


def loss_weights(masks: Tensor, floor: float) -> Tensor:
    """Weights of L_DM from masks [P,h,w]: background at `floor`, mean 1 in each picture.

    The mean is fixed so that a small subject learns as fast as a large one.
    """
    weights = floor + (1 - floor) * masks
    return weights / weights.mean(dim=(1, 2), keepdim=True).clamp_min(1e-6)
