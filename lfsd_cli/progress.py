"""Draw the core's events: a live line on a terminal, a few lines in a log, or JSON lines."""

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lfsd_cli.output import Output
from lfsd_cli.text import clean, human_seconds

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from lfsd import events

STAGES = {
    "photos": "looking at the photos",
    "base": "loading the base model",
    "teacher": "preparing the teacher",
    "learning": "learning",
    "contexts": "choosing vision contexts",
    "measuring": "checking what was kept",
    "saving": "saving the session",
    "sampling": "drawing",
}


class Narrator:
    """Callback for the core's events; also collects what the final summary needs."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._tenth = -1
        self.contact_sheet: Path | None = None
        self.previews: list[Path] = []

    def __enter__(self) -> Self:
        if self._out.live:
            self._progress = _bar(self._out)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def say(self, text: str) -> None:
        """A line of narration above the live progress."""
        if self._progress is not None:
            self._progress.console.print(clean(text))
        else:
            self._out.note(text)

    def __call__(self, event: "events.Event") -> None:
        from lfsd import events  # here: every command imports this file, few hear an event

        self._out.event(_snake(type(event).__name__), dataclasses.asdict(event))
        match event:
            case events.Stage(name):
                self._begin(STAGES.get(name, name))
            case events.Step():
                self._advance(event.step, event.total, _losses(event))
            case events.Sampling(step, total):
                self._advance(step, total, "")
            case events.ContactSheet(path):
                self.contact_sheet = path
                self.say(f"what the model will see: {path}")
            case events.Preview(path, step):
                if path not in self.previews:  # `gen --live` writes one file again and again
                    self.previews.append(path)
                    self.say(f"preview at step {step}: {path}")
            case _:
                self._remark(event)

    def _remark(self, event: "events.Event") -> None:
        from lfsd import events

        match event:
            case events.PhotoRefused(file, reason):
                self.say(f"refused {file}: {reason}")
            case events.PhotoWarning(file, text):
                self.say(f"note: {file}: {text}" if file else f"note: {text}")
            case events.Notice(text):
                self.say(f"note: {text}")
            case events.Checkpoint(_, step) if self._out.verbose:
                self.say(f"checkpoint at step {step}")
            case events.Measured(name, value) if self._out.verbose:
                self.say(f"{name}: {value:.4f}")

    # ---- the line that moves ------------------------------------------------------------------
    def _begin(self, text: str) -> None:
        self._tenth = -1
        if self._progress is None:
            self._out.note(f"{text} ...")
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(clean(text), total=None, detail="")

    def _advance(self, step: int, total: int, detail: str) -> None:
        if self._progress is not None:
            if self._task is None:
                self._begin("working")
            assert self._task is not None
            self._progress.update(self._task, completed=step, total=total, detail=detail)
        elif detail and step * 10 // max(total, 1) != self._tenth:
            # In a log file one line for each tenth is enough.
            self._tenth = step * 10 // max(total, 1)
            self._out.note(f"  step {step}/{total}  {detail}")


def _losses(event: "events.Step") -> str:
    kept = f", kept {event.loss_kd:.4f}" if event.loss_kd else ""
    left = human_seconds(event.seconds_left)
    return (
        f"loss {event.loss:.3f} (photos {event.loss_dm:.3f}{kept})  "
        f"{event.rate:.1f} it/s  {left} left"
    )


def _bar(out: Output) -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=out.progress_console(),
        transient=True,
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
