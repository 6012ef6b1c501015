"""Typed progress events: the only way the method speaks to whoever called it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Stage(Event):
    """A new stage begins; `name` is one of `STAGES`."""

    name: str


STAGES = ("photos", "base", "teacher", "learning", "contexts", "measuring", "saving", "sampling")


@dataclass(frozen=True)
class PhotoRefused(Event):
    """A file was not used, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class PhotoWarning(Event):
    """A file is used all the same, but look at it."""

    file: str
    text: str


@dataclass(frozen=True)
class ContactSheet(Event):
    """The picture of exactly what the model will see was written to `path`."""

    path: Path


@dataclass(frozen=True)
class Step(Event):
    """One optimiser step is done; losses are unweighted, `rate` is steps per second."""

    step: int
    total: int
    loss: float
    loss_dm: float
    loss_kd: float
    seconds_left: float
    rate: float


@dataclass(frozen=True)
class Preview(Event):
    """What the student makes now, or a picture as far as it is drawn, was written to `path`."""

    path: Path
    step: int


@dataclass(frozen=True)
class Checkpoint(Event):
    """The session so far is on disk; `resume` would go on after `step`."""

    path: Path
    step: int


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know, such as a batch made smaller for lack of memory."""

    text: str


@dataclass(frozen=True)
class Sampling(Event):
    """One denoising step of generation is done."""

    step: int
    total: int


@dataclass(frozen=True)
class Measured(Event):
    """One figure of the report."""

    name: str
    value: float


EventCallback = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The callback of a caller who does not want to know."""
