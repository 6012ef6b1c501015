"""What the five main screens have in common: the bar on top, the footer, and news from the app."""

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from lfsd_cli.tui.data import Snapshot
from lfsd_cli.tui.job import Job, State

if TYPE_CHECKING:
    from lfsd_cli.tui.app import LfsdApp

WIDE = 110  # columns from which a room has place for two things side by side

# mode -> key, name; the order of the bar.
ROOMS: dict[str, tuple[str, str]] = {
    "concepts": ("F2", "Concepts"),
    "sessions": ("F3", "Sessions"),
    "generate": ("F4", "Generate"),
    "learn": ("F5", "Learn"),
    "report": ("F6", "Report"),
}


class Tab(Static):
    """One name in the bar; a click goes there."""

    class Chosen(Message):
        """The person wants to see a room."""

        def __init__(self, room: str) -> None:
            super().__init__()
            self.room = room

    def __init__(self, room: str, here: bool) -> None:
        key, name = ROOMS[room]
        super().__init__(
            Content.assemble((f" {key} ", "dim"), f"{name} "), classes="here" if here else ""
        )
        self._room = room

    def on_click(self) -> None:
        """Go there."""
        self.post_message(self.Chosen(self._room))


class TopBar(Horizontal):
    """Names of the rooms, and at the right what is going on."""

    DEFAULT_CSS = """
    TopBar { height: 1; background: $panel; }
    TopBar Tab { width: auto; color: $text-muted; }
    TopBar Tab:hover { background: $boost; }
    TopBar Tab.here { background: $primary; color: $text; text-style: bold; }
    TopBar #going-on { width: 1fr; text-align: right; padding: 0 1; color: $text-accent; }
    """

    def __init__(self, here: str) -> None:
        super().__init__()
        self._here = here

    def compose(self) -> ComposeResult:
        """One tab a room."""
        for room in ROOMS:
            yield Tab(room, room == self._here)
        yield Static("", id="going-on", markup=False)

    def tell(self, text: str) -> None:
        """Say what is going on."""
        self.query_one("#going-on", Static).update(Text(text, no_wrap=True, overflow="ellipsis"))


class Room(Screen[None]):
    """A main screen. Subclasses compose `body` and take `store_read` and `job_changed`."""

    NAME: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - typed by Textual

    def __init__(self) -> None:
        super().__init__()
        self._painted = False

    @property
    def lfsd(self) -> "LfsdApp":
        """The app, as what it is."""
        return cast("LfsdApp", self.app)

    @property
    def snapshot(self) -> Snapshot:
        """The store as last read."""
        return self.lfsd.snapshot

    def compose(self) -> ComposeResult:
        """Bar, body, footer."""
        # What Textual does once the screen has a size: then it would style every widget again.
        self.add_class("-wide" if self.app.size.width >= WIDE else "-narrow")
        yield TopBar(self.NAME)
        yield from self.body()
        yield Footer()

    def body(self) -> ComposeResult:
        """What is between the bars."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Begin to listen, and show what is known already."""
        self.lfsd.store_signal.subscribe(self, self.store_read)
        self.lfsd.job_signal.subscribe(self, self._heard)
        self.prepare()
        self.store_read(self.snapshot)
        self._tell()
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        self._painted = True
        self.lfsd.settle()

    def prepare(self) -> None:
        """Set the widgets up, once."""

    def store_read(self, snapshot: Snapshot) -> None:
        """The store has been read anew."""

    def job_changed(self, job: Job) -> None:
        """Something happened to a job."""

    def _heard(self, job: Job) -> None:
        self.job_changed(job)
        if self.is_current:
            self._tell()

    @on(events.ScreenResume)
    def _resumed(self, event: events.ScreenResume) -> None:
        # Textual sends two of them to a new screen, whose widgets have just got their styles.
        event.refresh_styles = self._painted
        self._tell()

    def _tell(self) -> None:
        jobs = self.lfsd.jobs
        running = jobs.running
        text = self.snapshot.busy
        if running is not None:
            share = f" {running.step / running.total:.0%}" if running.total else ""
            text = f"● {running.title}{share}"
        elif jobs.all and jobs.all[-1].state is State.FAILED:
            text = f"✗ {jobs.all[-1].title}"
        if jobs.waiting:
            text += f" (+{len(jobs.waiting)})"
        self.query_one(TopBar).tell(text)

    @on(Tab.Chosen)
    def _go(self, message: Tab.Chosen) -> None:
        self.lfsd.action_room(message.room)
