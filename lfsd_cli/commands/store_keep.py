"""`lfsd store backup | restore`: a second copy, and the way back."""

from pathlib import Path
from typing import Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import UPKEEP_EXITS
from lfsd_cli.text import human_bytes, plural


def add(group: typer.Typer) -> None:
    """Register the commands."""
    register(
        group,
        "backup",
        examples=[
            "lfsd store backup /media/usb/lfsd",
            'lfsd store backup "/backups/lfsd-$(date +%F)" --json',
            "lfsd ls --home /media/usb/lfsd        a backup is a store",
        ],
        exits=UPKEEP_EXITS,
    )(backup)
    register(
        group,
        "restore",
        examples=[
            "lfsd store restore /media/usb/lfsd",
            "lfsd store restore /media/usb/lfsd --home ./elsewhere",
            "lfsd store restore /media/usb/lfsd --replace   move the present store aside",
        ],
        exits=UPKEEP_EXITS,
    )(restore)


def backup(
    call: Call,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A new or an empty folder.")],
) -> None:
    """Copy the store as it is now, all of it or nothing.

    Every blob is compared with its hash on the way; a learn may run meanwhile. Not copied: the
    trash, and the checkpoint of a session that is still learning.
    """
    from store.backup import backup as run
    from store.store import Store

    dest = dest.expanduser().absolute()
    with Store.open(call.home) as store:
        copied = run(store, dest)
    call.out.result(
        {
            "schema": SCHEMA,
            "path": str(dest),
            "sessions": copied.sessions,
            "blobs": copied.blobs,
            "bytes": copied.bytes,
        },
        human=lambda: call.out.line(
            f"{plural(copied.sessions, 'session')}, {plural(copied.blobs, 'blob')}, "
            f"{human_bytes(copied.bytes)} copied to {dest}"
        ),
        quiet=[dest],
    )


def restore(
    call: Call,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A backup, or any store.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Move the present store aside; it is not deleted.")
    ] = False,
) -> None:
    """Check a backup byte by byte and make a copy of it the store.

    The backup stays as it is. A store that has learned something is left alone unless --replace
    is given; then it is moved beside the new one and its folder is printed.
    """
    from store.backup import restore as run

    source = source.expanduser().absolute()
    home = call.home.absolute()
    copied, aside = run(source, home, replace=replace)

    def human() -> None:
        call.out.line(
            f"{plural(copied.sessions, 'session')}, {human_bytes(copied.bytes)} restored to {home}"
        )
        if aside is not None:
            call.out.line(f"the store that was there is now in {aside}")

    call.out.result(
        {
            "schema": SCHEMA,
            "path": str(home),
            "sessions": copied.sessions,
            "blobs": copied.blobs,
            "bytes": copied.bytes,
            "moved_aside": str(aside) if aside is not None else None,
        },
        human=human,
        quiet=[home],
    )
