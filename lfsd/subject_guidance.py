"""Subject guidance: while shapes are decided, a picture is led to its subject as it is by itself.

A scene's words pull at the shape of a subject that was never learned in that scene. What it was
learned on is a plain colour that the prompt names (`lfsd.composites`). What the model predicts for
"a photo of a V1 cat on a plain green background", less what it predicts for "a plain green
background", is the subject without the colour; that is added to the guided prediction of the
prompt, as predictions are composed in arXiv 2206.01714 (decision 31).
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from lfsd.base import BaseModel, TextStates
from lfsd.prompts import COLOURS, GROUND, ON_COLOUR, TRAINING, fill

GROUNDS = ("green", "purple")
"""By turns: what is green of a subject does not show on green."""

Lead = Callable[[int, Tensor, int], Tensor]
"""(turn, noisy latents [B,C,h,w], t) to what their predictions get, on the colour of the turn."""

EVERY = 3
"""Steps that share a difference: it changes slowly, and costs two rows a picture."""


class SubjectGuidance:
    """What a subject ("V1 cat", whose token the base holds) adds to its pictures, times `scale`."""

    def __init__(self, base: BaseModel, words: str, scale: float) -> None:
        self.base, self.scale = base, scale
        on = {c: fill(ON_COLOUR.replace("COLOUR", c), words) for c in COLOURS}
        learned = [fill(template, words) for template in TRAINING]
        self._learned = {_heart(prompt) for prompt in (*learned, *on.values())}
        self._subjects = base.encode_text([on[c] for c in GROUNDS])
        self._grounds = base.encode_text([GROUND.replace("COLOUR", c) for c in GROUNDS])

    def lead(self, prompts: Sequence[str]) -> "Lead | None":
        """What leads one picture of each prompt; None if none is to be led.

        A prompt that the subject was learned by has no scene to hold it against, and is not led.
        """
        rows = [i for i, prompt in enumerate(prompts) if _heart(prompt) not in self._learned]
        return partial(self._at, rows) if rows else None

    def _at(self, rows: list[int], turn: int, latents: Tensor, t: int) -> Tensor:
        colours = [turn % len(GROUNDS)] * len(rows)
        texts = TextStates.cat([self._subjects[colours], self._grounds[colours]])
        subject, ground = self.base.predict(latents[rows].repeat(2, 1, 1, 1), t, texts).chunk(2)
        added = torch.zeros_like(latents)
        added[rows] = (self.scale * (subject - ground)).to(added.dtype)
        return added


def _heart(prompt: str) -> str:
    """The prompt without what does not matter: case, articles, spaces, a full stop."""
    words = prompt.casefold().rstrip(" .").split()
    return " ".join(word for word in words if word not in ("a", "an"))
