"""How this terminal shows pictures: kitty's graphics protocol, sixels, or half cells."""

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from store.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.segment import Segment

Kind = Literal["kitty", "sixel", "half", "off"]
VARIABLE = "LFSD_PREVIEW"
UPPER_HALF = "\u2580"


def kind() -> Kind:
    """What $LFSD_PREVIEW says; "auto", or nothing, asks the terminal, once.

    UsageError for another word.
    """
    said = os.environ.get(VARIABLE, "") or "auto"
    if said == "auto":
        return _asked()
    if said not in get_args(Kind):
        known = ", ".join(("auto", *get_args(Kind)))
        raise UsageError(f"{VARIABLE}={said}: no such kind of preview", f"one of: {known}")
    return cast("Kind", said)


def ask() -> None:
    """Ask the terminal all that will be needed; while Textual runs its answers are Textual's."""
    if kind() in ("kitty", "sixel"):
        import textual_image.widget  # noqa: F401 - asks for the size of a cell as it is imported


@cache
def _asked() -> Kind:
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return "half"  # no terminal to ask, or none that answers to us
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return "half"
    from textual_image.renderable import Image, SixelImage, TGPImage  # asks as it is imported

    return "sixel" if Image is SixelImage else "kitty" if Image is TGPImage else "half"


def renderable(picture: "Image", columns: int, how: Kind) -> Any:
    """The picture `columns` cells wide, for Rich to print."""
    if how == "half":
        from rich.segment import Segments

        return Segments(half_cells(picture, columns))
    from textual_image.renderable import SixelImage, TGPImage

    shown = SixelImage if how == "sixel" else TGPImage
    return shown(picture.convert("RGB"), columns, "auto")


def half_cells(picture: "Image", columns: int) -> list["Segment"]:
    """The picture `columns` cells wide: two pixels a cell, "▀" in two colours, and line ends."""
    from PIL import Image
    from rich.color import Color
    from rich.segment import Segment
    from rich.style import Style

    rows = max(1, round(columns * picture.height / picture.width / 2))
    small = picture.convert("RGB").resize((columns, 2 * rows), Image.Resampling.LANCZOS)
    data = small.tobytes()
    segments = []
    for row in range(rows):
        for column in range(columns):
            above = 3 * (2 * row * columns + column)
            below = above + 3 * columns
            style = Style(
                color=Color.from_rgb(*data[above : above + 3]),
                bgcolor=Color.from_rgb(*data[below : below + 3]),
            )
            segments.append(Segment(UPPER_HALF, style))
        segments.append(Segment.line())
    return segments
