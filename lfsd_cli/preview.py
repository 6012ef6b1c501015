"""A picture in the terminal: two pixels per character cell, upper half and lower half."""

from typing import TYPE_CHECKING

from lfsd_cli.output import Output

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.segment import Segment

UPPER_HALF = "\u2580"
MAX_COLUMNS = 64


def show(out: Output, picture: "Image") -> None:
    """Draw `picture` on stderr if that is a terminal with colours; else nothing."""
    if not out.live:
        return
    console = out.progress_console()
    if console.color_system is None:  # NO_COLOR, or a terminal that cannot
        return
    from rich.segment import Segments

    columns = min(console.width, MAX_COLUMNS, 2 * (console.height - 4))
    if columns >= 8:
        console.print(Segments(half_cells(picture, columns)))


def half_cells(picture: "Image", columns: int) -> list["Segment"]:
    """The picture `columns` cells wide, as segments of "▀" with two colours, and line ends."""
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
