"""`lfsd tui`: browse concepts and sessions on the whole screen."""

import sys

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.errors import ExitCode


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "tui",
        examples=["lfsd tui", "lfsd tui --home ./my-store"],
        exits=[ExitCode.OK, ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.CORRUPT],
    )(tui)


def tui(call: Call) -> None:
    """Browse and draw on the whole screen."""
    from store.errors import UsageError

    # Textual draws on stderr, so that stdout could stay data.
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "`lfsd tui` needs a terminal", "in scripts use: lfsd ls, lfsd log, lfsd gen"
        )
    from lfsd_cli.graphics import ask
    from lfsd_cli.tui.app import LfsdApp

    ask()  # before Textual reads what the terminal answers
    LfsdApp(call.home).run()
