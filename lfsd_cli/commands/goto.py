"""`lfsd goto`: use the model as it was after any session."""

from typing import Annotated

import typer

from lfsd_cli import completion
from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, session_row
from lfsd_cli.errors import ExitCode


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "goto",
        examples=[
            "lfsd goto 2              the model after session 2",
            "lfsd goto HEAD~1         the same as: lfsd undo",
            "lfsd goto s3f9a1         by the first characters of an id; see: lfsd log --all",
        ],
        exits=[
            ExitCode.OK,
            ExitCode.USAGE,
            ExitCode.NOT_FOUND,
            ExitCode.BUSY,
            ExitCode.CORRUPT,
            ExitCode.RESOURCE,
        ],
    )(goto)


def goto(
    call: Call,
    session: Annotated[
        str,
        typer.Argument(
            metavar="SESSION",
            help="Number, id, start of an id, or HEAD~N.",
            autocompletion=completion.sessions,
        ),
    ],
) -> None:
    """Use the model as it was after a session.

    Nothing is deleted; the next learn starts from there.
    """
    from store.store import Store

    with Store.open(call.home, write=True) as store:
        before = store.head
        after = store.goto(session)
        now = session_row(store, after)

    def human() -> None:
        call.out.line(f"now at session {after.number} ({now['change']})")
        if before.id != after.id:
            call.out.note(f"back to where you were: lfsd goto {before.id[:10]}")

    call.out.result({"schema": SCHEMA, "head": now}, human=human, quiet=[after.id])
