"""Concepts: everything the model knows, to be searched, sorted and opened."""

from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from lfsd_cli.trends import bars, kept_style
from lfsd_cli.tui.data import ConceptRow, Snapshot
from lfsd_cli.tui.picture import PictureView
from lfsd_cli.tui.room import Room
from lfsd_cli.tui.table import LongTable

# Widths are given: to measure a thousand rows would hold up the screen.
COLUMNS = {
    "token": 9,
    "class": 13,
    "n": 3,
    "then": 5,
    "now": 5,
    "trend": 8,
    "learned": 16,
}
EMPTY = """\
Nothing learned yet.

F5  teach it a subject from a folder of photos
F1  all keys

or in a shell:  lfsd learn PHOTOS --token V1 --class cat"""
LEFT_BEHIND = "\n\nF3  go back to a session that undo or goto left behind"
WELCOME = "There is no store here yet: the first thing you teach makes one.\n\n"

SORTS: dict[str, Callable[[ConceptRow], Any]] = {
    "session": lambda row: row.session,
    "token": lambda row: row.token.casefold(),
    "class": lambda row: (row.class_noun.casefold(), row.session),
    "most forgotten": lambda row: (row.now or 0) - (row.then or 0),
}


class ConceptsRoom(Room):
    """A table, a filter above it, and the concept under the cursor beside it."""

    NAME = "concepts"
    AUTO_FOCUS = "#concepts"
    DEFAULT_CSS = """
    ConceptsRoom #filter { height: 1; border: none; background: $boost; }
    ConceptsRoom #concepts { width: 1fr; height: 1fr; scrollbar-size-horizontal: 0; }
    ConceptsRoom #card { width: 27; padding: 0 1; border-left: solid $panel; }
    ConceptsRoom.-wide #card { width: 40%; }
    ConceptsRoom #facts { height: auto; }
    ConceptsRoom #thumb { height: 1fr; }
    ConceptsRoom #empty { height: 1fr; padding: 2 4; display: none; }
    ConceptsRoom.-empty #empty { display: block; }
    ConceptsRoom.-empty #list { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("g", "draw", "Generate"),
        Binding("enter", "open", "Open", show=False),
        Binding("escape", "clear", "Clear the filter", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._sort = "session"
        self._shown: list[str] = []
        self._filled: Snapshot | None = None

    def body(self) -> ComposeResult:
        """Filter, table and card; or a welcome."""
        yield Static(EMPTY, id="empty", markup=False)
        with Horizontal(id="list"):
            with Vertical():
                yield Input(placeholder="/ to filter", id="filter", compact=True)
                yield LongTable(id="concepts")
            with Vertical(id="card"):
                yield Static("", id="facts", markup=False)
                yield PictureView(id="thumb")

    def prepare(self) -> None:
        """Columns once; the cursor where the hands expect it."""
        for name, width in COLUMNS.items():
            self._table.add_column(name, width=width)
        self._table.focus()

    @property
    def _table(self) -> LongTable:
        return self.query_one("#concepts", LongTable)

    # ---- what is shown ------------------------------------------------------------------------
    def store_read(self, snapshot: Snapshot) -> None:
        """Fill the table, or say why there is nothing."""
        if snapshot is not self._filled:
            self._filled = snapshot
            self._say_why(snapshot)
            self._fill()
        else:  # the pictures have been read
            self._show(self.current)

    def _say_why(self, snapshot: Snapshot) -> None:
        read = bool(snapshot.base or snapshot.problem)
        self.set_class(read and not snapshot.concepts, "-empty")
        if snapshot.concepts and self.focused is None:
            self._table.focus()  # which it could not take while it was hidden
        left = any(not row.on_line for row in snapshot.sessions)
        text = EMPTY + (LEFT_BEHIND if left else "")
        if snapshot.missing:
            text = WELCOME + EMPTY
        elif snapshot.problem:
            text = f"This store cannot be read.\n\n{snapshot.problem}"
        self.query_one("#empty", Static).update(text)

    def _fill(self) -> None:
        wanted = self.query_one("#filter", Input).value.casefold().split()
        rows = [r for r in self.snapshot.concepts if _matches(r, wanted)]
        rows.sort(key=SORTS[self._sort])
        here = self.current
        self._shown = [row.token for row in rows]
        known = here is not None and here.token in self._shown
        cursor = self._shown.index(here.token) if here and known else 0
        self._table.fill(((row.token, _cells(row)) for row in rows), cursor)
        self._show(self.current)

    @property
    def current(self) -> ConceptRow | None:
        """The concept under the cursor."""
        number = self._table.chosen
        return self.snapshot.concept(self._shown[number]) if number < len(self._shown) else None

    @on(LongTable.RowHighlighted, "#concepts")
    def _moved(self) -> None:
        self._show(self.current)

    def _show(self, row: ConceptRow | None) -> None:
        self.query_one("#facts", Static).update(_facts(row))
        picture = self.lfsd.portrait(row.token) if row else None
        self.query_one("#thumb", PictureView).show(picture)

    # ---- filter and sort ----------------------------------------------------------------------
    @on(Input.Changed, "#filter")
    def _filter(self) -> None:
        self._fill()

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self._table.focus()

    def action_filter(self) -> None:
        """Type to narrow the list down."""
        self.query_one("#filter").focus()

    def action_clear(self) -> None:
        """All of them again."""
        self.query_one("#filter", Input).value = ""
        self._table.focus()

    def action_sort(self) -> None:
        """The next order."""
        names = list(SORTS)
        self._sort = names[(names.index(self._sort) + 1) % len(names)]
        self.query_one("#filter", Input).placeholder = f"/ to filter · by {self._sort}"
        self._fill()

    # ---- going on -----------------------------------------------------------------------------
    @on(LongTable.RowSelected, "#concepts")
    def action_open(self) -> None:
        """All about the concept under the cursor."""
        from lfsd_cli.tui.screens.concept import ConceptScreen

        if self.current is not None:
            self.app.push_screen(ConceptScreen(self.current))

    def action_draw(self) -> None:
        """A prompt with the concept under the cursor."""
        if self.current is not None:
            self.lfsd.draw(f"a photo of a {self.current.words}")


def _matches(row: ConceptRow, wanted: list[str]) -> bool:
    text = f"{row.token} {row.class_noun} {row.session}".casefold()
    return all(word in text for word in wanted)


def _cells(row: ConceptRow) -> list[Text]:
    style = kept_style(row.now, row.then)
    return [
        Text(row.token, style="bold"),
        Text(row.class_noun),
        Text(str(row.session), justify="right"),
        Text(_figure(row.then)),
        Text(_figure(row.now), style=style),
        Text(bars(row.trend), style=style),
        Text(row.created),
    ]


def _facts(row: ConceptRow | None) -> str:
    if row is None:
        return ""
    lines = [f"{row.token}: a {row.class_noun}", f"session {row.session}, {row.created}"]
    lines.append(f"{row.photos} photos, {row.contexts} contexts")
    if row.then is not None and row.now is not None:
        lines.append(f"fidelity {row.then:.3f} then, {row.now:.3f} now")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


ROOM = ConceptsRoom
