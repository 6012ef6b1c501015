"""`lfsd store path | info | verify`: looking without touching."""

from typing import Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, local_time
from lfsd_cli.errors import ExitCode
from lfsd_cli.text import human_bytes, plural


def add(group: typer.Typer) -> None:
    """Register the commands."""
    register(
        group,
        "path",
        examples=["lfsd store path", 'cd "$(lfsd store path -q)"'],
        exits=[ExitCode.OK, ExitCode.USAGE],
    )(path)
    read = [ExitCode.OK, ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.CORRUPT]
    register(
        group,
        "info",
        examples=["lfsd store info", "lfsd store info --json"],
        exits=read,
    )(info)
    register(
        group,
        "verify",
        examples=[
            "lfsd store verify              every record and reference",
            "lfsd store verify --data       and every byte of every blob",
            "lfsd store verify --json --home /media/usb/lfsd-backup",
        ],
        exits=[*read[:3], ExitCode.BUSY, ExitCode.CORRUPT],
    )(verify)


def path(call: Call) -> None:
    """Print the folder of the store, whether or not it is there yet."""
    from store.store import Store

    home = call.home.absolute()
    exists = Store.exists(home)

    def human() -> None:
        call.out.line(home)
        if not exists:
            call.out.note("nothing is there yet; make a store with: lfsd init")

    call.out.result(
        {"schema": SCHEMA, "path": str(home), "exists": exists}, human=human, quiet=[home]
    )


def info(call: Call) -> None:
    """Show what the store is made of, how large it is, and who is writing to it."""
    import msgspec

    from store.info import info as describe
    from store.store import Store

    with Store.open(call.home) as store:
        found = describe(store)
        home = store.home

    def human() -> None:
        facts = [
            ("folder", home),
            ("id", f"{found.id}, schema {found.schema}, made {local_time(found.created)}"),
            ("base", f"{found.base.id} ({found.base.layout}, {found.base.sha256[:12]})"),
            ("head", f"session {found.head_number} ({found.head[:10]})"),
            ("concepts", found.concepts),
            ("sessions", f"{found.sessions}, {found.sessions_off_line} of them off the line"),
        ]
        for name, part in found.parts.items():
            if part.files:
                facts.append(
                    (f"{name}/", f"{human_bytes(part.bytes)}, {plural(part.files, 'file')}")
                )
        facts.append(("free disk", human_bytes(found.free)))
        if found.writer is not None:
            who = found.writer
            said = f"process {who.get('pid', '?')}, since {who.get('since', '?')}"
            facts.append(("writing now", f"{said}: {who.get('command', '?')}"))
        call.out.table(["", ""], facts, styles=lambda _row, column: "dim" if column == 0 else "")

    call.out.result(
        {"schema": SCHEMA, "store": {"path": str(home), **msgspec.to_builtins(found)}},
        human=human,
        quiet=[found.id],
    )


def verify(
    call: Call,
    data: Annotated[
        bool, typer.Option("--data", help="Also read every blob and compare it with its hash.")
    ] = False,
) -> None:
    """Check the store from end to end; nothing is changed.

    The format file, the pages of the records file, every record's checksum, every session's hash,
    every reference. Works on a store that is too damaged to be used, and beside a running learn.
    """
    from store.verify import verify_home

    problems = verify_home(call.home, data=data)

    def human() -> None:
        for problem in problems:
            call.out.line(problem)
        if problems:
            call.out.note(
                f"{plural(len(problems), 'problem')} found; see: lfsd store repair --dry-run"
            )
        else:
            looked = "every record and every blob" if data else "every record (blobs: add --data)"
            call.out.line(f"the store is sound: {looked} checked")

    call.out.result(
        {
            "schema": SCHEMA,
            "path": str(call.home.absolute()),
            "data": data,
            "ok": not problems,
            "problems": problems,
        },
        human=human,
        quiet=problems,
    )
    if problems:
        raise typer.Exit(ExitCode.CORRUPT)
