"""One attention processor for every layer of the UNet.

Without a control it is ordinary softmax attention. With one it appends vision contexts to
self-attention (ICGen, feed `attend`) or records where a token's cross-attention falls.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

KEY = "control"
"""Name under which an `AttentionControl` travels in `cross_attention_kwargs`."""

NEGLIGIBLE = 1e-3
"""Context tokens weighted below this are dropped: they cost time and change nothing visible."""

States = dict[str, tuple[Tensor, Tensor]]
"""Layer name -> context keys and values, each [heads, tokens, head width]."""


def attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return softmax(q k^T / sqrt(d) + bias) v.

    Shapes: query [B,H,N,d], key and value [B,H,M,d], bias broadcastable to [B,H,N,M].
    """
    # Measured with torch 2.13: the fused kernel's backward on CPU is 1.25-25 times slower than
    # this in half precision, while in float32 it is 1.4-3 times faster, forward and backward.
    half_on_cpu = query.device.type == "cpu" and query.dtype != torch.float32
    if not (half_on_cpu and query.requires_grad):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return attention_weights(query, key, bias) @ value


def attention_weights(query: Tensor, key: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the attention probabilities [B,H,N,M]."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return torch.softmax(scores if bias is None else scores + bias, dim=-1)


def level_size(latent: tuple[int, int], tokens: int) -> tuple[int, int]:
    """Height and width of the feature map with so many tokens, for a latent [h, w].

    Raises ValueError when no halving of the latent gives that number.
    """
    height, width = latent
    while height * width > tokens:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    if height * width != tokens:
        raise ValueError(f"no level of a {latent[0]}x{latent[1]} latent has {tokens} tokens")
    return height, width


@dataclass
class ContextWeights:
    """How strongly each place of each context is attended to.

    `weights` [K,h,w] at latent resolution: 0 hides a place, 1 treats it as one of the picture's
    own. They enter the softmax as log-weights on the context's logits.
    """

    weights: Tensor
    _levels: dict[int, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    def level(self, tokens: int) -> tuple[Tensor, Tensor | None]:
        """Kept context tokens [M] (indices into K*tokens) and the logits' bias [tokens+M].

        The bias is None when it would be all zero; its first part belongs to the own tokens.
        """
        if tokens not in self._levels:
            size = level_size((self.weights.shape[1], self.weights.shape[2]), tokens)
            flat = F.adaptive_avg_pool2d(self.weights[:, None].float(), size).flatten()
            keep = (flat > NEGLIGIBLE).nonzero().flatten()
            log = flat[keep].log()
            bias = torch.cat([log.new_zeros(tokens), log]) if bool((log != 0).any()) else None
            self._levels[tokens] = (keep, bias)
        return self._levels[tokens]


@dataclass
class ContextFeed:
    """Contexts appended to self-attention of the first `rows` rows of a batch.

    Either the contexts ride in the same forward as its last `riding` rows (their keys and
    values are then left in `states` for later forwards at the same t), or `riding` is 0 and
    `states` holds what an earlier forward left.
    """

    rows: int
    riding: int
    weights: ContextWeights
    states: States = field(default_factory=dict)

    def context(self, layer: str, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [H,M,d] of the kept context tokens for this layer."""
        if self.riding:
            keep, _ = self.weights.level(key.shape[2])
            self.states[layer] = (
                _kept(key[-self.riding :], keep),
                _kept(value[-self.riding :], keep),
            )
        return self.states[layer]


def _kept(rows: Tensor, keep: Tensor) -> Tensor:
    """[K,H,N,d] -> [H,M,d]: the kept tokens of all contexts, one after another."""
    heads, width = rows.shape[1], rows.shape[3]
    return rows.transpose(0, 1).reshape(heads, -1, width).index_select(1, keep)


@dataclass
class TokenMaps:
    """Records how much each place attends to chosen text tokens, layer by layer.

    `select` [R,L] (0/1) marks the text positions for the first R rows of the batch.
    """

    select: Tensor
    layers: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def record(self, layer: str, query: Tensor, key: Tensor) -> None:
        """Keep this layer's map [R,N], averaged over heads and summed over the tokens."""
        rows = self.select.shape[0]
        probs = attention_weights(query[:rows].detach().float(), key[:rows].detach().float())
        select = self.select.to(probs)[:, None, None, :]
        self.layers[layer] = (probs * select).sum(-1).mean(1)

    def combined(self, size: tuple[int, int]) -> Tensor:
        """Mean of all layers' maps at latent size [h, w], each row scaled to 0..1: [R,h,w]."""
        if not self.layers:
            raise RuntimeError("no cross-attention was recorded: install_processors() first")
        maps = [
            F.interpolate(
                m.reshape(m.shape[0], 1, *level_size(size, m.shape[1])),
                size=size,
                mode="bilinear",
            )[:, 0]
            for m in self.layers.values()
        ]
        mean = torch.stack(maps).mean(0)
        low = mean.amin(dim=(1, 2), keepdim=True)
        span = mean.amax(dim=(1, 2), keepdim=True) - low
        return (mean - low) / span.clamp_min(1e-8)


@dataclass
class AttentionControl:
    """What the processors do in one forward, besides attending."""

    feed: ContextFeed | None = None
    maps: TokenMaps | None = None
    used: int = 0

    def kwargs(self) -> dict[str, Any]:
        """The `cross_attention_kwargs` of a forward under this control."""
        return {KEY: self}

    def check_used(self) -> None:
        """Raise RuntimeError if no layer obeyed: a foreign processor ignores us silently."""
        if not self.used:
            raise RuntimeError("attention control was ignored: install_processors(unet) first")


class LfsdAttention:
    """Attention processor of one named layer (diffusers' AttnProcessor protocol)."""

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        control: AttentionControl | None = None,
    ) -> Tensor:
        """Attend from hidden_states [B,N,C] (or [B,C,h,w]) to the text or to itself."""
        residual = hidden_states
        if attn.spatial_norm is not None:
            hidden_states = attn.spatial_norm(hidden_states, temb)
        spatial = hidden_states.shape if hidden_states.ndim == 4 else None
        if spatial is not None:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        if attn.group_norm is not None:
            hidden_states = attn.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        source = encoder_hidden_states if encoder_hidden_states is not None else hidden_states
        if encoder_hidden_states is not None and attn.norm_cross:
            source = attn.norm_encoder_hidden_states(source)

        query = _heads(attn.to_q(hidden_states), attn.heads)
        key = _heads(attn.to_k(source), attn.heads)
        value = _heads(attn.to_v(source), attn.heads)
        mask = attn.prepare_attention_mask(attention_mask, source.shape[1], source.shape[0])
        bias = None if mask is None else mask.view(source.shape[0], attn.heads, -1, mask.shape[-1])
        mixed = self._mix(query, key, value, bias, encoder_hidden_states is not None, control)

        out = mixed.transpose(1, 2).flatten(2).to(query.dtype)
        out = attn.to_out[1](attn.to_out[0](out))
        if spatial is not None:
            out = out.transpose(1, 2).reshape(spatial)
        if attn.residual_connection:
            out = out + residual
        return out if attn.rescale_output_factor == 1 else out / attn.rescale_output_factor

    def _mix(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        cross: bool,
        control: AttentionControl | None,
    ) -> Tensor:
        if control is None:
            return attention(query, key, value, bias)
        if cross and control.maps is not None:
            control.used += 1
            control.maps.record(self.layer, query, key)
        if not cross and control.feed is not None:
            control.used += 1
            return attend_with_context(self.layer, query, key, value, control.feed)
        return attention(query, key, value, bias)


def attend_with_context(
    layer: str, query: Tensor, key: Tensor, value: Tensor, feed: ContextFeed
) -> Tensor:
    """Self-attention [B,H,N,d] whose first rows also see the contexts; the rest see themselves.

    The in-context generation of arXiv 2411.05544 (abstract) conditions on a stored vision context;
    appending its keys and values to self-attention, weighted in the logits, is our reading.
    """
    extra_key, extra_value = feed.context(layer, key, value)
    if not extra_key.shape[1]:
        return attention(query, key, value)
    rows = feed.rows
    _, bias = feed.weights.level(key.shape[2])
    with_context = attention(
        query[:rows],
        torch.cat([key[:rows], extra_key.expand(rows, -1, -1, -1)], dim=2),
        torch.cat([value[:rows], extra_value.expand(rows, -1, -1, -1)], dim=2),
        None if bias is None else bias.to(query).view(1, 1, 1, -1),
    )
    if rows == query.shape[0]:
        return with_context
    return torch.cat([with_context, attention(query[rows:], key[rows:], value[rows:])])


def _heads(projected: Tensor, heads: int) -> Tensor:
    """[B,N,C] -> [B,heads,N,C/heads]."""
    return projected.unflatten(-1, (heads, -1)).transpose(1, 2)


def install_processors(unet: Any) -> int:
    """Give every attention layer of a UNet2DConditionModel our processor; returns how many."""
    names = list(unet.attn_processors)
    unet.set_attn_processor(
        {name: LfsdAttention(name.removesuffix(".processor")) for name in names}
    )
    return len(names)
