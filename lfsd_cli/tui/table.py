"""A table of any length that never holds up the screen."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rich.text import Text
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
        self._wanted = 0

    def fill(self, rows: Iterable[Row], cursor: int = 0) -> None:
        """Show other rows, each a key and its cells; the cursor goes to row `cursor`."""
        self.clear()
        self._rest, self._wanted = iter(rows), cursor
        self._pour()

    def _pour(self) -> None:
        before = self.row_count
        for key, cells in islice(self._rest, PART):
            self.add_row(*cells, key=key)
        if before <= self._wanted < self.row_count:
            self.move_cursor(row=self._wanted)
        if self.row_count == before + PART:
            # by a timer: what is called later would still run in the same go
            self.set_timer(PAUSE, self._pour)
