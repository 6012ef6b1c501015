"""Sessions: the chain as a timeline, what each one did, and the way back."""

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from lfsd_cli.text import clean, human_seconds
from lfsd_cli.tui import data
from lfsd_cli.tui.data import SessionRow, Snapshot
from lfsd_cli.tui.job import Job
from lfsd_cli.tui.room import Room
from lfsd_cli.tui.screens.confirm import ConfirmScreen
from lfsd_cli.tui.table import LongTable

COLUMNS = {"": 1, "n": 4, "change": 32, "took": 12, "when": 16, "id": 10}


class SessionsRoom(Room):
    """Newest on top. Moving along the chain is asked about first, with what it would change."""

    class Compared(Message):
        """What going to a session would change is known (or why it cannot be)."""

        def __init__(self, change: data.Change | None, problem: str = "") -> None:
            super().__init__()
            self.change = change
            self.problem = problem

    NAME = "sessions"
    DEFAULT_CSS = """
    SessionsRoom #sessions { width: 1fr; height: 1fr; scrollbar-size-horizontal: 0; }
    SessionsRoom #side { width: 34; padding: 0 1; border-left: solid $panel; }
    SessionsRoom.-wide #side { width: 60; }
    SessionsRoom #about { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "undo", "Undo"),
        Binding("enter", "goto", "Go to"),
        Binding("d", "draw", "Generate as of"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[SessionRow, ...] = ()

    def body(self) -> ComposeResult:
        """The timeline and the session under the cursor."""
        with Horizontal():
            yield LongTable(id="sessions")
            with VerticalScroll(id="side"):
                yield Static("", id="about", markup=False)

    def prepare(self) -> None:
        """Columns once."""
        for name, width in COLUMNS.items():
            self._table.add_column(name, width=width)
        self._table.focus()

    @property
    def _table(self) -> LongTable:
        return self.query_one("#sessions", LongTable)

    @property
    def current(self) -> SessionRow | None:
        """The session under the cursor."""
        number = self._table.chosen
        return self._rows[number] if number < len(self._rows) else None

    def store_read(self, snapshot: Snapshot) -> None:
        """Fill the timeline; the cursor stays on its session."""
        if snapshot.sessions is self._rows:
            return
        here = self.current
        self._rows = snapshot.sessions
        ids = [row.id for row in self._rows]
        cursor = ids.index(here.id) if here is not None and here.id in ids else 0
        self._table.fill(((row.id, _cells(row)) for row in self._rows), cursor)
        self._show()

    @on(LongTable.RowHighlighted, "#sessions")
    def _moved(self) -> None:
        self._show()

    def _show(self) -> None:
        text = about(self.current) if self.current else self.snapshot.problem
        self.query_one("#about", Static).update(text)

    # ---- going back and forth -----------------------------------------------------------------
    def action_undo(self) -> None:
        """Back by one session."""
        head = self.snapshot.head
        if head is None or head.number == 0:
            self.notify("there is nothing to undo: no session has been learned")
        else:
            self._compare("HEAD~1")

    @on(LongTable.RowSelected, "#sessions")
    def action_goto(self) -> None:
        """The model as it was after the session under the cursor."""
        if self.current is not None and self.current.is_head:
            self.notify("the store stands at this session")
        elif self.current is not None:
            self._compare(self.current.id)

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self, target: str) -> None:
        from store.errors import LfsdError

        try:
            self.post_message(self.Compared(data.change(self.lfsd.home, target)))
        except LfsdError as error:
            self.post_message(self.Compared(None, clean(error.message)))

    @on(Compared)
    def _ask(self, message: Compared) -> None:
        change = message.change
        if change is None:
            self.notify(message.problem, severity="error", markup=False)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                words = ["goto", change.target]
                self.lfsd.jobs.submit(Job(f"going to session {change.number}", words, quick=True))

        self.app.push_screen(ConfirmScreen(change.describe(), "Go there"), answered)

    def action_draw(self) -> None:
        """A picture as the model was after the session under the cursor: fill the form."""
        if self.current is not None:
            concepts = self.snapshot.concepts
            words = concepts[-1].words if concepts else "dog"
            self.lfsd.draw(f"a photo of a {words}", as_of=str(self.current.number))


def _cells(row: SessionRow) -> list[Text]:
    mark = "●" if row.is_head else "│" if row.on_line else "┆"
    style = "bold" if row.is_head else "" if row.on_line else "dim"
    took = human_seconds(row.seconds) if row.seconds else ""
    cells = [mark, str(row.number), row.change, took, row.created, row.id[:10]]
    return [Text(cell, style=style) for cell in cells]


def about(row: SessionRow) -> str:
    """What a session did and measured, line by line."""
    lines = [f"session {row.number}", row.change, row.created]
    if not row.on_line:
        lines.append("left behind by undo or goto; it can be gone to")
    if row.seconds:
        lines.append(f"took {human_seconds(row.seconds)}, {row.settings.get('steps', '?')} steps")
    fidelity = row.metrics.get("fidelity") or {}
    pcf = row.metrics.get("pcf") or {}
    if fidelity:
        lines += ["", "fidelity measured then"]
    for token, value in fidelity.items():
        change = (pcf.get(token) or {}).get("change")
        kept = "just learned" if token == row.learned else ""
        kept = kept if change is None else f"{change:+.3f}"
        lines.append(f"  {clean(token):<8} {value:.3f}  {kept}".rstrip())
    rcf = row.metrics.get("rcf") or {}
    if rcf:
        lines += ["", "plain class nouns: drift"]
    for noun, figures in rcf.items():
        lines.append(f"  {clean(noun):<10} {figures.get('drift', 0.0):.4f}")
    return "\n".join(lines)


ROOM = SessionsRoom
