"""`lfsd undo`: back by one session."""

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, change_text, session_row
from lfsd_cli.errors import ExitCode


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "undo",
        examples=["lfsd undo", "lfsd log --all && lfsd goto ID     take the undo back"],
        exits=[
            ExitCode.OK,
            ExitCode.USAGE,
            ExitCode.NOT_FOUND,
            ExitCode.BUSY,
            ExitCode.CORRUPT,
            ExitCode.RESOURCE,
        ],
    )(undo)


def undo(call: Call) -> None:
    """Go back by one session.

    The model is bit for bit what it was before. Nothing is deleted: goto brings it back.
    """
    from store.store import Store

    with Store.open(call.home, write=True) as store:
        before = store.head
        after = store.undo()

    def human() -> None:
        call.out.line(f"undone: session {before.number} ({change_text(before)})")
        call.out.line(f"now at session {after.number} ({change_text(after)})")
        call.out.note(f"changed your mind? lfsd goto {before.id[:10]}")

    call.out.result(
        {"schema": SCHEMA, "undone": session_row(before), "head": session_row(after)},
        human=human,
        quiet=[after.id],
    )
