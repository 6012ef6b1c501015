"""`lfsd rename`: another token for the same concept."""

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
        "rename",
        examples=["lfsd rename V1 Max", 'lfsd gen "a Max cat on a beach"'],
        exits=[
            ExitCode.OK,
            ExitCode.USAGE,
            ExitCode.NOT_FOUND,
            ExitCode.BUSY,
            ExitCode.CORRUPT,
            ExitCode.RESOURCE,
            ExitCode.MODEL,
        ],
    )(rename)


def rename(
    call: Call,
    old: Annotated[
        str,
        typer.Argument(metavar="TOKEN", help="The token now.", autocompletion=completion.tokens),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The token from now on.")],
) -> None:
    """Give a concept another token.

    What was learned stays bit for bit the same.
    """
    from lfsd.lifelong import LifelongModel

    # Through the model, not the store: only the base's tokenizer knows which words are no tokens.
    with LifelongModel.open(call.home) as model:
        session = model.rename(old, new)
        row = session_row(model.store, session)
        noun = next(c.class_noun for c in model.concepts() if c.token == new)

    def human() -> None:
        call.out.line(f"session {session.number}: {old} is now {new} ({noun})")
        call.out.note(f'draw it: lfsd gen "a photo of a {new} {noun}"')

    call.out.result({"schema": SCHEMA, "session": row}, human=human, quiet=[session.id])
