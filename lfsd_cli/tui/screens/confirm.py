"""A question with two answers, or one line to type."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

_CSS = """
{0} {{ align: center middle; }}
{0} > Vertical {{ width: 66; max-width: 95%; height: auto; padding: 1 2;
                  background: $surface; border: round $primary; }}
{0} Horizontal {{ height: auto; align-horizontal: center; margin-top: 1; }}
{0} Button {{ margin: 0 1; }}
"""


class ConfirmScreen(ModalScreen[bool]):
    """Says what will change and asks; the answer is True for yes."""

    DEFAULT_CSS = _CSS.format("ConfirmScreen")
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,n", "answer(False)", "No"),
        ("y", "answer(True)", "Yes"),
    ]

    def __init__(self, question: str, yes: str = "Yes") -> None:
        super().__init__()
        self.question = question
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question and its answers."""
        with Vertical():
            yield Static(self.question, id="question", markup=False)
            with Horizontal():
                yield Button(f"{self._yes} (y)", id="yes", variant="warning")
                yield Button("Cancel", id="no", variant="primary")

    def on_mount(self) -> None:
        """Enter alone must not change anything."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Yes or no by key."""
        self.dismiss(answer)


class AskScreen(ModalScreen[str | None]):
    """Asks for one line; None if it was called off."""

    DEFAULT_CSS = _CSS.format("AskScreen")
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Cancel")]

    def __init__(self, question: str, value: str = "") -> None:
        super().__init__()
        self.question = question
        self._value = value

    def compose(self) -> ComposeResult:
        """The question and the line."""
        with Vertical():
            yield Static(self.question, id="question", markup=False)
            yield Input(self._value, id="answer")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)
