"""Leaving while a job is under way: what is to become of it?"""

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from lfsd_cli.tui.job import Job
from lfsd_cli.tui.jobs import Jobs

if TYPE_CHECKING:
    from lfsd_cli.tui.app import LfsdApp


class LeaveScreen(ModalScreen[None]):
    """Stay; stop the job (a checkpoint is kept) and leave; or leave it running."""

    DEFAULT_CSS = """
    LeaveScreen { align: center middle; }
    LeaveScreen > Vertical { width: 70; max-width: 95%; height: auto; padding: 1 2;
                             background: $surface; border: round $warning; }
    LeaveScreen Horizontal { height: auto; align-horizontal: center; margin-top: 1; }
    LeaveScreen Button { margin: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "stay", "Stay"),
        ("s", "stop", "Stop it and leave"),
        ("l", "let", "Leave it running"),
    ]

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._leaving = False

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical():
            yield Static(self._question(), id="question", markup=False)
            with Horizontal():
                yield Button("Stay", id="stay", variant="primary")
                yield Button("Stop, leave", id="stop", variant="warning")
                yield Button("Let it run", id="let")

    def on_mount(self) -> None:
        """Hear when the job has stopped."""
        cast("LfsdApp", self.app).job_signal.subscribe(self, self._heard)

    def _question(self) -> str:
        lines = [job.headline for job in self._jobs.unfinished]
        lines += ["", "Stop: a session that is learned keeps a checkpoint, to be resumed later."]
        lines += ["Let it run: it goes on without this screen and commits by itself;"]
        lines += ["jobs that still wait in the queue are dropped."]
        return "\n".join(lines)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        {"stay": self.action_stay, "stop": self.action_stop, "let": self.action_let}[
            str(event.button.id)
        ]()

    def action_stay(self) -> None:
        """Back to work."""
        if not self._leaving:
            self.dismiss()

    def action_stop(self) -> None:
        """Ask every job to stop and leave when they have; the second time, at once."""
        self._leaving = True
        for job in self._jobs.unfinished:
            self._jobs.stop(job)
        self.query_one("#question", Static).update(
            "stopping after this step ...\n\npress s again to stop at once"
        )
        self._heard(None)

    def action_let(self) -> None:
        """Leave; the running job goes on."""
        for job in self._jobs.unfinished:
            if job.process is None:
                self._jobs.stop(job)
            job.left_alone = True
        self.app.exit()

    def _heard(self, _job: Job | None) -> None:
        if self._leaving and not self._jobs.unfinished:
            self.app.exit()
