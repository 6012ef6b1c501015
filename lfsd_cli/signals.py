"""Ctrl-C during long work: the first asks for a clean stop, the second stops at once."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Self


class StopOnSignal:
    """While entered, SIGINT and SIGTERM set `stopping`; a second one raises KeyboardInterrupt.

    `on_first` is told once, so that the person sees that the request was heard.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._before: dict[int, object] = {}
        self.received: int | None = None

    def stopping(self) -> bool:
        """True once a stop was asked for; handed to the core as `should_stop`."""
        return self.received is not None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        self._on_first()
