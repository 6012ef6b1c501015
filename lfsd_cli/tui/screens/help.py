"""All keys of the screen behind it."""

from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

WORDS = """\
lfsd keeps one model and teaches it new subjects, a session each.
Long work runs beside the screen: go on browsing meanwhile."""


class HelpScreen(ModalScreen[None]):
    """A table of keys, read from the bindings themselves, so that it cannot be out of date."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    #help { width: 72; max-width: 95%; height: auto; max-height: 90%; padding: 1 2;
            background: $surface; border: round $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,f1,q", "dismiss", "Close"),
    ]

    def __init__(self, behind: Screen[Any]) -> None:
        super().__init__()
        self._rows = _keys(behind)

    def compose(self) -> ComposeResult:
        """The table."""
        with VerticalScroll(id="help"):
            yield Static(self.table(), id="keys")

    def table(self) -> Table:
        """Key, what it does."""
        table = Table(
            box=None,
            show_header=False,
            padding=(0, 2, 0, 0),
            title=Text(WORDS),
            title_justify="left",
        )
        for key, what in self._rows:
            table.add_row(Text(key, style="bold"), Text(what))
        return table

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(key, what it does)."""
        return self._rows


def _keys(behind: Screen[Any]) -> list[tuple[str, str]]:
    """The screen's and the app's own keys first, then those of the list or field in focus."""
    rows: dict[str, str] = {}
    bindings = sorted(
        behind.active_bindings.values(), key=lambda one: not isinstance(one.node, Screen | App)
    )
    for node, binding, _, tooltip in bindings:
        what = tooltip or binding.description
        if what and not (binding.system and isinstance(node, Screen)):
            key = behind.app.get_key_display(binding)
            rows[what] = f"{rows.get(what, '')} {key}".strip()
    return [(key, what) for what, key in rows.items()]
