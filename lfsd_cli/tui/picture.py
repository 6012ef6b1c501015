"""A widget that draws a picture, scaled to the room it has, without holding up the screen.

Half cells are our own and made in a thread. Kitty's protocol and sixels are textual-image's: its
widget lies in ours and fills it.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.segment import Segment
from textual import events, on, work
from textual.app import ComposeResult
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from lfsd_cli.graphics import half_cells, kind
from lfsd_cli.portrait import Portrait, load

if TYPE_CHECKING:
    from PIL.Image import Image

PAUSE = 0.05
"""Seconds that a concept stays under the cursor before the store is read for its picture."""

Source: TypeAlias = "Image | Path | Portrait"


def draw(picture: "Image", width: int, height: int) -> list[Strip]:
    """A picture as rows of half cells, at most `width` x `height`, its shape kept."""
    shape = picture.width / picture.height
    columns = max(1, min(width, int(2 * height * shape)))
    return [Strip(line) for line in Segment.split_lines(half_cells(picture, columns))][:height]


def _read(source: "Source") -> "Image | None":
    if isinstance(source, Portrait):
        return source.load()
    return load(source) if isinstance(source, Path) else source


class PictureView(Widget):
    """Shows one picture; empty until one is set. Reading and scaling happen in a thread."""

    class Drawn(Message):
        """The picture has been turned into cells for a size."""

        def __init__(
            self, source: object, picture: "Image | None", lines: list[Strip], size: tuple[int, int]
        ) -> None:
            super().__init__()
            self.source = source
            self.picture = picture
            self.lines = lines
            self.size = size

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._source: Source | None = None
        self._lines: list[Strip] = []
        self._how = kind()
        self._exact: Any = None  # textual-image's widget, where the terminal shows real pixels

    def compose(self) -> ComposeResult:
        """Nothing for half cells, else the widget that shows pixels."""
        if self._how in ("kitty", "sixel"):
            from textual_image.widget import SixelImage, TGPImage

            self._exact = SixelImage() if self._how == "sixel" else TGPImage()
            self._exact.styles.width = self._exact.styles.height = "auto"
            yield self._exact

    @property
    def source(self) -> "Source | None":
        """What is shown."""
        return self._source

    def show(self, source: "Source | None") -> None:
        """Show another picture, a file of one, what there is of a concept, or nothing."""
        changed = source is None or source != self._source
        self._source = source
        if changed:
            self._lines = []
            if self._exact is not None:
                self._exact.image = None
            self.refresh()
        self._redraw()

    def on_resize(self, _event: events.Resize) -> None:
        """Scale to the new room."""
        self._redraw()

    def _redraw(self) -> None:
        if self._source is not None and self.size.area and self._how != "off":
            self._draw(self._source, (self.size.width, self.size.height))

    @work(thread=True, exclusive=True)
    def _draw(self, source: "Source", size: tuple[int, int]) -> None:
        worker = get_current_worker()
        if isinstance(source, Portrait):
            time.sleep(PAUSE)
        if worker.is_cancelled:  # the cursor has moved on
            return
        try:
            picture = _read(source)
            lines = [] if picture is None or self._exact is not None else draw(picture, *size)
        except (OSError, ValueError, SyntaxError):
            # the file has gone or is no picture: an empty frame says it well enough
            picture, lines = None, []
        self.post_message(self.Drawn(source, picture, lines, size))

    @on(Drawn)
    def _drawn(self, message: Drawn) -> None:
        message.stop()
        fits = message.size == (self.size.width, self.size.height)
        if fits and message.source is self._source:  # else a newer one is on its way
            self._lines = message.lines
            if self._exact is not None:
                self._exact.image = message.picture
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        # A blank strip without a style is one that Textual's NO_COLOR filter cannot read.
        if y < len(self._lines):
            return self._lines[y].adjust_cell_length(self.size.width, self.visual_style.rich_style)
        return Strip.blank(self.size.width, self.visual_style.rich_style)
