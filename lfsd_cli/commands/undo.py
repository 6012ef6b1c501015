"""`lfsd undo`: back by one session."""

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, session_row
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
        undone, now = session_row(store, before), session_row(store, after)

    def human() -> None:
        call.out.line(f"undone: session {before.number} ({undone['change']})")
        call.out.line(f"now at session {after.number} ({now['change']})")
        call.out.note(f"changed your mind? lfsd goto {before.id[:10]}")

    call.out.result(
        {"schema": SCHEMA, "undone": undone, "head": now},
        human=human,
        quiet=[after.id],
    )
