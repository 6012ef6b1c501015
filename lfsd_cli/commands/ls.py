"""`lfsd ls`: what the model knows."""

from typing import Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, listed_row, local_time
from lfsd_cli.errors import ExitCode
from lfsd_cli.text import human_bytes


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "ls",
        examples=[
            "lfsd ls",
            "lfsd ls --json",
            "lfsd ls --at 3        what it knew after session 3",
        ],
        exits=[ExitCode.OK, ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.CORRUPT],
    )(ls)


def ls(
    call: Call,
    at: Annotated[
        str | None, typer.Option("--at", metavar="SESSION", help="As of a session.")
    ] = None,
) -> None:
    """List the concepts learned so far."""
    from store.store import Store

    with Store.open(call.home) as store:
        rows = [listed_row(entry, summary) for entry, summary in store.listing(at)]

    def human() -> None:
        if not rows:
            call.out.note("nothing learned yet; type: lfsd learn PHOTOS --token V1 --class cat")
            return
        call.out.table(
            ["token", "class", "session", "photos", "contexts", "size", "learned"],
            [
                [
                    *(row[key] for key in ("token", "class", "session", "photos", "contexts")),
                    human_bytes(int(str(row["bytes"]))),
                    local_time(str(row["created"])),
                ]
                for row in rows
            ],
            right=["session", "photos", "contexts", "size"],
            styles=lambda _row, column: "bold cyan" if column == 0 else "",
        )

    call.out.result(
        {"schema": SCHEMA, "concepts": rows}, human=human, quiet=[row["token"] for row in rows]
    )
