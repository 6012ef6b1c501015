"""A grid of figures coloured by how much of the first one is left; only what is seen is drawn."""

from dataclasses import dataclass, field
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from lfsd_cli.text import clean

LABEL = 9
CELL = 8


@dataclass(frozen=True)
class Matrix:
    """Rows are sessions, columns concepts; None where nothing was measured."""

    sessions: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    cells: tuple[tuple[float | None, ...], ...] = ()
    first: tuple[float | None, ...] = field(default=())

    @classmethod
    def of(
        cls,
        sessions: tuple[int, ...],
        tokens: tuple[str, ...],
        cells: tuple[tuple[float | None, ...], ...],
    ) -> "Matrix":
        """With each column's first figure looked up."""
        first = tuple(
            next((row[c] for row in cells if row[c] is not None), None) for c in range(len(tokens))
        )
        return cls(sessions, tokens, cells, first)


def heat(now: float | None, then: float | None) -> Style:
    """From green (all of it is left) over yellow to red (four fifths or less)."""
    if now is None or not then:
        return Style()
    left = min(1.0, max(0.0, (now / then - 0.8) / 0.2))
    red, green = round(150 * min(1.0, 2 - 2 * left)), round(120 * min(1.0, 2 * left))
    return Style(color="white", bgcolor=f"rgb({red},{green},40)")


def _scrolled(first: int, cursor: int, seen: int, count: int) -> int:
    """The first of `seen` lines so that the cursor is among them and none is left empty."""
    return max(min(first, cursor, count - seen), cursor - seen + 1, 0)


class HeatMap(Widget, can_focus=True):
    """Moves by arrows and mouse; Enter or a second click chooses a cell."""

    class Moved(Message):
        """Another cell is under the cursor."""

    class Chosen(Message):
        """The cell under the cursor was chosen."""

    DEFAULT_CSS = "HeatMap:focus { background: $boost; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1, 0)", "Session above", show=False),
        Binding("down", "move(1, 0)", "Session below", show=False),
        Binding("left", "move(0, -1)", "Concept before", show=False),
        Binding("right", "move(0, 1)", "Concept after", show=False),
        Binding("enter", "choose", "Pictures behind it"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.matrix = Matrix()
        self.row = self.column = self._top = self._left = 0

    def show(self, matrix: Matrix) -> None:
        """Show another matrix, the cursor at its newest session."""
        if matrix != self.matrix:
            self.matrix = matrix
            self.row, self.column = max(0, len(matrix.sessions) - 1), 0
        self._follow()

    @property
    def value(self) -> float | None:
        """The figure under the cursor."""
        cells = self.matrix.cells
        return cells[self.row][self.column] if cells and cells[self.row] else None

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor, within the grid."""
        self._put(self.row + rows, self.column + columns)

    def _put(self, row: int, column: int) -> None:
        self.row = max(0, min(len(self.matrix.sessions) - 1, row))
        self.column = max(0, min(len(self.matrix.tokens) - 1, column))
        self._follow()
        self.post_message(self.Moved())

    def action_choose(self) -> None:
        """Choose the cell under the cursor."""
        if self.value is not None:
            self.post_message(self.Chosen())

    def on_click(self, event: events.Click) -> None:
        """Move there; a click on the cursor chooses."""
        row, column = self._top + event.y - 1, self._left + (event.x - LABEL) // CELL
        if event.y < 1 or event.x < LABEL:
            return
        if (row, column) == (self.row, self.column):
            self.action_choose()
        else:
            self._put(row, column)

    def on_mouse_scroll_down(self) -> None:
        """The next session."""
        self.action_move(1, 0)

    def on_mouse_scroll_up(self) -> None:
        """The session before."""
        self.action_move(-1, 0)

    def on_resize(self) -> None:
        """Keep the cursor on the screen."""
        self._follow()

    def _follow(self) -> None:
        rows = max(1, self.size.height - 1)
        columns = max(1, (self.size.width - LABEL) // CELL)
        self._top = _scrolled(self._top, self.row, rows, len(self.matrix.sessions))
        self._left = _scrolled(self._left, self.column, columns, len(self.matrix.tokens))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The header, or one session."""
        width, plain = self.size.width, self.visual_style.rich_style
        matrix, row = self.matrix, self._top + y - 1
        if y == 0:
            names = [clean(token)[: CELL - 1] for token in matrix.tokens[self._left :]]
            segments = [Segment(f"{'session':<{LABEL}}", plain)]
            segments += [Segment(f"{name:^{CELL}}", plain + Style(bold=True)) for name in names]
        elif row < len(matrix.sessions):
            segments = [Segment(f"{matrix.sessions[row]:>{LABEL - 2}}  ", plain)]
            segments += [self._cell(row, c, plain) for c in range(self._left, len(matrix.tokens))]
        else:
            return Strip.blank(width, plain)
        return Strip(segments).adjust_cell_length(width, plain)

    def _cell(self, row: int, column: int, plain: Style) -> Segment:
        value = self.matrix.cells[row][column]
        text = "" if value is None else f"{value:.3f}"
        here = (row, column) == (self.row, self.column)
        style = plain + heat(value, self.matrix.first[column])
        text = f"[{text:^{CELL - 2}}]" if here else f"{text:^{CELL}}"
        return Segment(text, style + Style(bold=True) if here else style)
