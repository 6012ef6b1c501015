"""The only place that writes: stdout is data, stderr is narration."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, TextIO

from lfsd_cli.errors import ExitCode, Failure
from lfsd_cli.text import clean, to_json

if TYPE_CHECKING:
    from rich.console import Console

# Piped tables must not be cut at 80 columns: a script reads whole values.
_PIPE_WIDTH = 10_000
# Rich lays out a few thousand rows in seconds; a list that long is read with a pager anyway.
_STYLED_ROWS = 500


class Mode(Enum):
    """HUMAN: tables and narration. JSON: one document. QUIET: bare values, no narration."""

    HUMAN = "human"
    JSON = "json"
    QUIET = "quiet"


class Output:
    """The sink that a command prints to.

    `log_json` turns narration into one JSON object per stderr line. `silent` mutes everything:
    used by every process but the first under `accelerate launch`.
    """

    def __init__(
        self,
        mode: Mode = Mode.HUMAN,
        *,
        verbose: bool = False,
        log_json: bool = False,
        silent: bool = False,
    ) -> None:
        self.mode = mode
        self.verbose = verbose
        self.log_json = log_json
        self.silent = silent

    # ---- data: stdout -------------------------------------------------------------------------
    def result(
        self,
        document: dict[str, object],
        *,
        human: Callable[[], None],
        quiet: Iterable[object] = (),
    ) -> None:
        """Print a command's result once, in the mode that was asked for."""
        if self.mode is Mode.JSON:
            self._write(sys.stdout, to_json(document, indent=2) + "\n")
        elif self.mode is Mode.QUIET:
            for value in quiet:
                self.line(value)
        else:
            human()

    def line(self, value: object = "") -> None:
        """One line of data."""
        self._write(sys.stdout, clean(value) + "\n")

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        right: Sequence[str] = (),
        styles: Callable[[int, int], str] | None = None,
    ) -> None:
        """A table without rules.

        `right` names the columns of numbers; `styles(row, column)` gives a cell's Rich style.
        """
        if self.silent:
            return
        cells = [[clean(value) for value in row] for row in rows]
        if not sys.stdout.isatty() or len(cells) > _STYLED_ROWS:
            self._write(sys.stdout, plain_table(columns, cells, right))
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
            header_style="bold",
            show_header=any(columns),
        )
        for name in columns:
            table.add_column(name, justify="right" if name in right else "left", overflow="fold")
        for r, row in enumerate(cells):
            table.add_row(
                *(Text(cell, style=styles(r, c) if styles else "") for c, cell in enumerate(row))
            )
        console = _console(sys.stdout)
        with console.capture() as captured:
            console.print(table)
        self._write(sys.stdout, captured.get())

    # ---- narration: stderr --------------------------------------------------------------------
    @property
    def narrates(self) -> bool:
        """True where a person reads stderr (not quiet, not JSON, not a secondary process)."""
        return self.mode is Mode.HUMAN and not self.log_json and not self.silent

    def note(self, text: object = "") -> None:
        """Tell the person what happens, in one line; nothing in quiet and JSON mode."""
        if self.narrates:
            self._write(sys.stderr, clean(text) + "\n")

    def warn(self, text: object) -> None:
        """Something the person should know though the command goes on."""
        if self.log_json:
            self.event("warning", {"text": str(text)})
        elif self.mode is not Mode.JSON:
            self._write(sys.stderr, f"warning: {clean(text)}\n")

    def event(self, name: str, fields: dict[str, object]) -> None:
        """One line of `--log-json`; nothing otherwise."""
        if self.log_json:
            self._write(sys.stderr, to_json({"event": name, **fields}) + "\n")

    def failure(self, failure: Failure) -> None:
        """Show how the command failed: one line and a hint, or one JSON object."""
        if self.mode is Mode.JSON or self.log_json:
            self._write(sys.stderr, to_json(failure.to_dict()) + "\n")
            return
        # A stop that was asked for is no error.
        label = "" if failure.exit_code >= ExitCode.INTERRUPTED else "error: "
        text = f"lfsd: {label}{clean(failure.message)}\n"
        if failure.hint:
            text += f"  {clean(failure.hint)}\n"
        self._write(sys.stderr, text)

    def progress_console(self) -> "Console":
        """A Rich console on stderr, for live progress."""
        return _console(sys.stderr)

    @property
    def live(self) -> bool:
        """True where stderr is a terminal that can redraw a line."""
        return self.narrates and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def _write(self, stream: TextIO, text: str) -> None:
        if self.silent:
            return
        # A terminal in an old locale must not turn a file name into a crash.
        encoding = stream.encoding or "utf-8"
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except BrokenPipeError:
            # `lfsd log | head -1`: the reader has what it wanted, which is no failure of ours.
            # The stream goes to the null device so that the interpreter's last flush is quiet too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def plain_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()
) -> str:
    """A table as text, each column as wide as its widest cell; takes 10,000 rows in its stride."""
    lines = [list(columns), *rows] if any(columns) else list(rows)
    widths = [max((_width(row[c]) for row in lines), default=0) for c in range(len(columns))]
    text = []
    for row in lines:
        padded = []
        for name, cell, width in zip(columns, row, widths, strict=True):
            gap = " " * (width - _width(cell))
            padded.append(gap + cell if name in right else cell + gap)
        text.append("  ".join(padded).rstrip() + "\n")
    return "".join(text)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else _PIPE_WIDTH,
    )
