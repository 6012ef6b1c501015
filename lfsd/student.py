"""The student as one module: photos and pooled latents through text encoder and UNet in one
forward."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lfsd.attention import AttentionControl, ContextFeed
from lfsd.base import BaseModel, TextStates
from lfsd.shown import ContextRow


class Batch(NamedTuple):
    """What one forward of the student needs: photos first, pooled latents after them.

    noisy [B,C,h,w], t [B]; prompts are the photos' distinct ones, `which` [b] their index per
    photo, dropped [b] marks photos under the empty prompt; kd_text are the pooled prompts' states;
    `context`, if any, is shown to the first photos, has their t, and its prompt is in `prompts`.
    """

    noisy: Tensor
    t: Tensor
    prompts: list[str]
    which: Tensor
    dropped: Tensor
    empty: TextStates
    kd_text: TextStates | None
    context: ContextRow | None = None


class Student(nn.Module):
    """Everything that gradient runs through, so that accelerate can wrap it whole."""

    def __init__(self, base: BaseModel, rows: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.base = base
        self.unet = base.unet
        self.text_encoders = nn.ModuleList(base.text_encoders)
        self.rows = nn.ParameterList(rows)

    def forward(self, batch: Batch) -> Tensor:
        """Predictions [B,C,h,w] for photos and pooled latents together."""
        # dropped prompts are encoded all the same: each process must give the rows a gradient
        encoded = self.base.encode_text(batch.prompts)
        text = _where(batch.dropped, batch.empty, encoded[batch.which])
        if batch.kd_text is not None:
            text = TextStates.cat([text, batch.kd_text])
        if batch.context is None:
            return self.base.predict(batch.noisy, batch.t, text)
        own = encoded[[batch.prompts.index(batch.context.prompt)]]
        return self._in_context(batch, batch.context, TextStates.cat([text, own]))

    def _in_context(self, batch: Batch, context: ContextRow, text: TextStates) -> Tensor:
        # The gradient goes through the context's row as well: what generation appends is made by
        # the weights learned here, so they answer for it, at the price of one row's backward.
        control = AttentionControl(ContextFeed(context.rows, 1, context.weights))
        noisy, t = torch.cat([batch.noisy, context.noisy]), torch.cat([batch.t, batch.t[:1]])
        pred = self.base.predict(noisy, t, text, cross_attention_kwargs=control.kwargs())
        control.check_used()
        return pred[:-1]


def _where(choice: Tensor, yes: TextStates, no: TextStates) -> TextStates:
    hidden = torch.where(choice[:, None, None], yes.hidden, no.hidden)
    if no.pooled is None or yes.pooled is None:
        return TextStates(hidden)
    return TextStates(hidden, torch.where(choice[:, None], yes.pooled, no.pooled))
