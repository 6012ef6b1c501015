"""A picture while it takes shape: what the latents of each step would be, were they the last."""

import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torch import Tensor

from lfsd.base import BaseModel
from lfsd.events import EventCallback, Preview

SHARE = 0.1
"""Of the time, at most this much goes into decoding previews, whatever the model and machine."""


class LivePicture:
    """A PNG at `path` of the first picture under way; each replaces the one before, whole."""

    def __init__(self, base: BaseModel, path: Path, on_event: EventCallback) -> None:
        self._base, self._path, self._tell = base, path, on_event
        self._due = 0.0

    def show(self, step: int, clean: Callable[[], Tensor]) -> None:
        """Write the predicted clean latents [B,C,h,w] as a picture, unless it is too soon for one.

        Raises OSError when the file cannot be written.
        """
        began = time.monotonic()
        if began < self._due:
            return
        draft = self._path.with_name(f".{self._path.name}.partial")
        Image.fromarray(self._base.decode(clean()[:1])[0]).save(draft, "PNG")
        draft.replace(self._path)
        self._tell(Preview(self._path, step))
        ended = time.monotonic()
        self._due = ended + (ended - began) * (1 / SHARE - 1)
