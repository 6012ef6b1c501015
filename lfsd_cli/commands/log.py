"""`lfsd log`: the chain of sessions."""

from typing import Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, local_time, session_row
from lfsd_cli.errors import ExitCode
from lfsd_cli.text import human_seconds


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "log",
        examples=[
            "lfsd log",
            "lfsd log --all       also sessions left behind by undo and goto",
            "lfsd log --json",
        ],
        exits=[ExitCode.OK, ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.CORRUPT],
    )(log)


def log(
    call: Call,
    every: Annotated[
        bool, typer.Option("--all", help="Also sessions off the current line.")
    ] = False,
) -> None:
    """List the sessions, newest first."""
    from store.store import Store

    with Store.open(call.home) as store:
        head = store.head
        line = {session.id for session in store.sessions()}
        found = store.all_sessions() if every else store.sessions()
        sessions = sorted(found, key=lambda s: (s.number, s.created), reverse=True)
        rows = [{**session_row(store, s), "on_line": s.id in line} for s in sessions]

    def human() -> None:
        call.out.table(
            ["", "session", "id", "change", "took", "when"],
            [
                [
                    "*" if s.id == head.id else "" if s.id in line else "(off the line)",
                    s.number,
                    s.id[:10],
                    row["change"],
                    human_seconds(s.seconds) if s.seconds else "",
                    local_time(s.created),
                ]
                for s, row in zip(sessions, rows, strict=True)
            ],
            right=["session", "took"],
            styles=lambda row, _column: "bold" if sessions[row].id == head.id else "",
        )

    call.out.result(
        {
            "schema": SCHEMA,
            "sessions": rows,
            "head": head.id,
        },
        human=human,
        quiet=[s.id for s in sessions],
    )
