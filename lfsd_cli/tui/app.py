"""`lfsd tui`: five rooms over one store. Rooms show; jobs and the store's state live here."""

import gc
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.signal import Signal

from lfsd_cli.pictures import DEFAULT_FOLDER
from lfsd_cli.portrait import Portrait
from lfsd_cli.tui import data, job
from lfsd_cli.tui.jobs import Jobs
from lfsd_cli.tui.room import ROOMS


def _module(room: str) -> ModuleType:
    return import_module(f"lfsd_cli.tui.screens.{room}")


def _room(name: str) -> Callable[[], Screen[Any]]:
    """Make a room when it is first entered: starting pays for one screen, not for five."""

    def make() -> Screen[Any]:
        return _module(name).ROOM()  # type: ignore[no-any-return]

    return make


class StoreRead(Message):
    """The store has been read; `turn` orders readings that overtake each other."""

    def __init__(self, snapshot: data.Snapshot, turn: int) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.turn = turn


class ShotsRead(Message):
    """The pictures' folder has been looked through."""

    def __init__(self, shots: list[data.Shot], drawn: dict[str, Path]) -> None:
        super().__init__()
        self.shots = shots
        self.drawn = drawn


class LfsdApp(App[None]):
    """Browse, draw, learn and measure. `home` is the store; pictures go to `pictures`."""

    TITLE = "lfsd"
    ENABLE_COMMAND_PALETTE = True
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        name: _room(name) for name in ROOMS
    }
    DEFAULT_MODE = "concepts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", priority=True),
        *(
            Binding(key.lower(), f"room('{name}')", title, show=False, priority=True)
            for name, (key, title) in ROOMS.items()
        ),
        Binding("ctrl+r", "reload", "Reload", show=False),
        Binding("ctrl+q", "leave", "Quit", priority=True),
    ]

    def __init__(self, home: Path, pictures: Path = DEFAULT_FOLDER) -> None:
        super().__init__()
        self.home = home
        self.pictures = pictures.absolute()
        self.snapshot = data.Snapshot()
        self.shots: list[data.Shot] = []
        self.drawn: dict[str, Path] = {}
        self.jobs = Jobs(self, home)
        self.store_signal: Signal[data.Snapshot] = Signal(self, "store")
        self.job_signal: Signal[job.Job] = Signal(self, "job")
        self._turn = 0
        self._settled = False
        self._parsed: dict[str, str] = {}

    def on_mount(self) -> None:
        """Read the store once the first room is on the screen."""
        self.call_after_refresh(self.action_reload)

    def refresh_css(self, animate: bool = True) -> None:
        """Parse all styles again if the theme has changed.

        Textual asks for it twice whenever a room is entered first. That would hold up the screen
        for nothing: no room adds a variable, a new one's widgets are styled as they are mounted,
        and every other one styles its own when it comes back.
        """
        variables = self.get_css_variables()
        if variables != self._parsed:
            super().refresh_css(animate)
            self._parsed = variables

    # ---- the store ----------------------------------------------------------------------------
    def action_reload(self) -> None:
        """Read the store again."""
        self._turn += 1
        self._read_store(self._turn)

    @work(thread=True, group="store")
    def _read_store(self, turn: int) -> None:
        snapshot = data.read(self.home)
        self.post_message(StoreRead(snapshot, turn))
        shots = data.shots(self.pictures)
        self.post_message(ShotsRead(shots, data.drawn(snapshot, shots, self.home)))
        for room in ROOMS:
            _module(room)  # so that entering one does not wait for its modules

    @on(StoreRead)
    def _store_read(self, message: StoreRead) -> None:
        if message.turn == self._turn:
            self.snapshot = message.snapshot
            self.sub_title = f"{self.home} on {message.snapshot.base}"
            self.store_signal.publish(message.snapshot)

    @on(ShotsRead)
    def _shots_read(self, message: ShotsRead) -> None:
        self.shots, self.drawn = message.shots, message.drawn
        self.store_signal.publish(self.snapshot)
        if not self._settled:
            self._settled = True
            self.settle()

    def settle(self) -> None:
        """Spare what stays for good from the garbage collector, whose full passes over a thousand
        rows stop the screen for a tenth of a second.

        For once only: what is in a cycle now is never freed. So after the first reading of the
        store, and after each room is made.
        """
        gc.freeze()

    def portrait(self, token: str) -> Portrait:
        """What there is to show of a concept."""
        return Portrait(self.home, token, self.drawn.get(token))

    # ---- jobs ---------------------------------------------------------------------------------
    @on(job.Changed)
    def _job_changed(self, message: job.Changed) -> None:
        self.job_signal.publish(message.job)
        if message.job.over:
            self._job_over(message.job)

    def _job_over(self, ended: job.Job) -> None:
        if ended.state is job.State.FAILED:
            self.notify(ended.error, title=ended.title, severity="error", markup=False, timeout=12)
        elif ended.state is job.State.DONE and ended.verb not in ("gen", "report"):
            self.notify(ended.title, title="done", markup=False)
        if ended.verb != "report":
            self.action_reload()

    # ---- going about --------------------------------------------------------------------------
    def action_room(self, name: str) -> None:
        """Show a room; a question that waits for an answer is not walked away from."""
        if not self.screen.is_modal:
            while len(self.screen_stack) > 1:
                self.pop_screen()
            self.switch_mode(name)

    def action_help(self) -> None:
        """All keys of this screen."""
        from lfsd_cli.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_leave(self) -> None:
        """Quit; with a job under way, ask first."""
        from lfsd_cli.tui.screens.leaving import LeaveScreen

        if not self.jobs.unfinished:
            self.exit()
        elif not isinstance(self.screen, LeaveScreen):
            self.push_screen(LeaveScreen(self.jobs))

    async def action_quit(self) -> None:
        """The command palette's way out asks as well."""
        self.action_leave()

    def draw(self, prompt: str, as_of: str = "") -> None:
        """Go to Generate with a prompt in place."""
        from lfsd_cli.tui.screens.generate import GenerateRoom

        self.action_room("generate")
        if isinstance(self.screen, GenerateRoom):
            self.screen.begin(prompt, as_of)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Textual's own commands, and ours by name."""
        yield from super().get_system_commands(screen)
        for name, (key, title) in ROOMS.items():
            yield SystemCommand(
                title, f"go there ({key})", lambda name=name: self.action_room(name)
            )
        yield SystemCommand("All keys", "what every key does here (F1)", self.action_help)
        yield SystemCommand("Reload", "read the store again (Ctrl+R)", self.action_reload)
