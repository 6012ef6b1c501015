"""A table of any length that never holds up the screen."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rich.text import Text
from textual.timer import Timer
from textual.widgets import DataTable

PART = 50
"""Rows added at once: what a table does for each new row adds up to a frame at some hundred."""
PAUSE = 0.01
"""Seconds between parts."""

Row = tuple[str, Sequence[Text]]


class LongTable(DataTable[Text]):
    """Rows come a part at a time, so that keys and jobs are heard in between."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row")
        self._rest: Iterator[Row] = iter(())
        self._on_its_way: int | None = None
        self._timer: Timer | None = None

    def fill(self, rows: Iterable[Row], cursor: int = 0) -> None:
        """Show other rows, each a key and its cells; the cursor goes to row `cursor`."""
        if self._timer is not None:
            self._timer.stop()
        self.clear()
        self._rest, self._on_its_way = iter(rows), cursor
        self._pour()

    @property
    def chosen(self) -> int:
        """The row the cursor stands on, or that it goes to as soon as that row has come."""
        return self.cursor_row if self._on_its_way is None else self._on_its_way

    def _pour(self) -> None:
        before = self.row_count
        for key, cells in islice(self._rest, PART):
            self.add_row(*cells, key=key)
        if self._on_its_way is not None and self._on_its_way < self.row_count:
            self.move_cursor(row=self._on_its_way)
            self._on_its_way = None
        # by a timer: what is called later would still run in the same go
        more = self.row_count == before + PART
        self._timer = self.set_timer(PAUSE, self._pour) if more else None
