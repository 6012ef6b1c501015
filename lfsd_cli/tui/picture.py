"""A widget that draws a picture with half cells, scaled to the room it has."""

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from lfsd_cli.preview import half_cells

if TYPE_CHECKING:
    from PIL.Image import Image


class PictureView(Widget):
    """Shows `picture`; empty until one is set."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._picture: Image | None = None
        self._lines: list[Strip] = []
        self._drawn_at: tuple[int, int] = (0, 0)

    def set_picture(self, picture: "Image") -> None:
        """Show another picture."""
        self._picture = picture
        self._drawn_at = (0, 0)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        size = (self.size.width, self.size.height)
        if self._picture is not None and size != self._drawn_at:
            self._drawn_at = size
            self._lines = self._draw(*size)
        if y < len(self._lines):
            return self._lines[y]
        # A blank strip without a style is one that Textual's NO_COLOR filter cannot read.
        return Strip.blank(self.size.width, self.visual_style.rich_style)

    def _draw(self, width: int, height: int) -> list[Strip]:
        assert self._picture is not None
        shape = self._picture.width / self._picture.height
        columns = max(1, min(width, int(2 * height * shape)))
        segments = half_cells(self._picture, columns)
        return [Strip(line) for line in Segment.split_lines(segments)]
