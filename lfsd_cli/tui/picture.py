"""A widget that draws a picture, scaled to the room it has, without holding up the screen."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual import events, on, work
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from lfsd_cli.preview import half_cells

if TYPE_CHECKING:
    from PIL.Image import Image

# More pixels than any terminal has cells for; what is larger is made smaller once, when read.
_LARGEST = 640


def draw(picture: "Image", width: int, height: int) -> list[Strip]:
    """A picture as rows of cells, at most `width` x `height`, its shape kept.

    The one place that knows how a terminal shows pictures: half cells work in all of them. The
    kitty and sixel protocols would be chosen here.
    """
    shape = picture.width / picture.height
    columns = max(1, min(width, int(2 * height * shape)))
    return [Strip(line) for line in Segment.split_lines(half_cells(picture, columns))][:height]


def load(path: Path) -> "Image":
    """Read a PNG, no larger than a screen needs; OSError if it is not one."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_LARGEST, _LARGEST))
    return picture


class PictureView(Widget):
    """Shows one picture; empty until one is set. Reading and scaling happen in a thread."""

    class Drawn(Message):
        """The picture has been turned into cells for a size."""

        def __init__(self, source: object, lines: list[Strip], size: tuple[int, int]) -> None:
            super().__init__()
            self.source = source
            self.lines = lines
            self.size = size

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._source: Image | Path | None = None
        self._lines: list[Strip] = []

    @property
    def source(self) -> "Image | Path | None":
        """What is shown."""
        return self._source

    def show(self, source: "Image | Path | None") -> None:
        """Show another picture, a file of one, or nothing."""
        if source is None or source != self._source:
            self._source = source
            self._lines = []
            self.refresh()
        self._redraw()

    def on_resize(self, _event: events.Resize) -> None:
        """Scale to the new room."""
        self._redraw()

    def _redraw(self) -> None:
        if self._source is not None and self.size.area:
            self._draw(self._source, (self.size.width, self.size.height))

    @work(thread=True, exclusive=True)
    def _draw(self, source: "Image | Path", size: tuple[int, int]) -> None:
        try:
            picture = load(source) if isinstance(source, Path) else source
            lines = draw(picture, *size)
        except (OSError, ValueError, SyntaxError):
            lines = []  # the file has gone or is no picture: an empty frame says it well enough
        self.post_message(self.Drawn(source, lines, size))

    @on(Drawn)
    def _drawn(self, message: Drawn) -> None:
        message.stop()
        fits = message.size == (self.size.width, self.size.height)
        if fits and message.source is self._source:  # else a newer one is on its way
            self._lines = message.lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        # A blank strip without a style is one that Textual's NO_COLOR filter cannot read.
        if y < len(self._lines):
            return self._lines[y].adjust_cell_length(self.size.width, self.visual_style.rich_style)
        return Strip.blank(self.size.width, self.visual_style.rich_style)
