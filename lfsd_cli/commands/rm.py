"""`lfsd rm`: take a concept out of use."""

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
        "rm",
        examples=["lfsd rm V1", "lfsd undo            bring it back"],
        exits=[
            ExitCode.OK,
            ExitCode.USAGE,
            ExitCode.NOT_FOUND,
            ExitCode.BUSY,
            ExitCode.CORRUPT,
            ExitCode.RESOURCE,
        ],
    )(rm)


def rm(
    call: Call,
    token: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN", help="The concept's token.", autocompletion=completion.tokens
        ),
    ],
) -> None:
    """Remove a concept from use.

    Its token and contexts leave the model; the shared adapter stays as it is.
    """
    from store.store import Store

    with Store.open(call.home, write=True) as store:
        concept = store.concept(token)
        session = store.commit_rm(concept.token)
        row = session_row(store, session)

    def human() -> None:
        call.out.line(f"session {session.number}: removed {concept.token} ({concept.class_noun})")
        call.out.note("bring it back: lfsd undo")

    call.out.result({"schema": SCHEMA, "session": row}, human=human, quiet=[session.id])
