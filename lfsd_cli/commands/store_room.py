"""`lfsd store gc | compact | unlock`: making room, and clearing what a killed process left."""

from typing import TYPE_CHECKING, Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import UPKEEP_EXITS, ExitCode
from lfsd_cli.text import human_bytes, plural

if TYPE_CHECKING:
    from store.collect import Collection
    from store.trash import Restored


def add(group: typer.Typer) -> None:
    """Register the commands."""
    register(
        group,
        "gc",
        examples=[
            "lfsd store gc --dry-run",
            "lfsd store gc                          sessions left behind by undo",
            "lfsd store gc --keep-sessions 5        and the adapters of all but the last 5",
            "lfsd store gc --restore                bring back what is in the trash",
            "lfsd store gc --empty-trash            delete now what is in the trash",
        ],
        exits=UPKEEP_EXITS,
    )(gc)
    register(group, "compact", examples=["lfsd store compact"], exits=UPKEEP_EXITS)(compact)
    register(
        group,
        "unlock",
        examples=["lfsd store unlock", "lfsd store unlock --json"],
        exits=UPKEEP_EXITS[:4],
    )(unlock)


def gc(
    call: Call,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done.")
    ] = False,
    keep_sessions: Annotated[
        int | None,
        typer.Option(
            "--keep-sessions",
            metavar="N",
            min=1,
            help="Also thin the line: only its last N sessions can be gone back to.",
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option("--grace", metavar="DAYS", min=0, help="Touch nothing younger than this."),
    ] = 14.0,
    restore: Annotated[
        bool, typer.Option("--restore", help="Bring back everything the trash holds.")
    ] = False,
    empty_trash: Annotated[
        bool, typer.Option("--empty-trash", help="Delete what lies in the trash, however young.")
    ] = False,
) -> None:
    """Make room: move what is no longer needed to the trash.

    That is: sessions left behind by undo and goto, blobs that no session names and, with
    --keep-sessions, adapters of old sessions. What the model knows now is never touched, and what
    is younger than the grace period (14 days) stays. The trash is inside the store; what has lain
    there for 14 days is deleted by the next gc, and until then --restore brings it back.
    """  # fmt: skip
    from datetime import timedelta

    from store.collect import collect
    from store.errors import UsageError
    from store.store import Store
    from store.trash import restore_trash

    if restore and (dry_run or empty_trash or keep_sessions is not None):
        raise UsageError("--restore stands alone", "see: lfsd store gc --help")
    with Store.open(call.home, write=not dry_run) as store:
        if restore:
            _print_restored(call, restore_trash(store))
            return
        found = collect(
            store,
            keep_sessions=keep_sessions,
            grace=timedelta(days=min(grace, 36500.0)),
            dry_run=dry_run,
            empty=empty_trash,
        )
    _print_collected(call, found, dry_run)


def _print_collected(call: Call, found: "Collection", dry_run: bool) -> None:
    def human() -> None:
        would = "would move" if dry_run else "moved"
        for session in found.sessions:
            call.out.line(f"session {session.number} ({session.id[:10]}), left behind")
        if found.thinned:
            call.out.line(f"the adapters of {plural(len(found.thinned), 'session')} on the line")
        call.out.line(
            f"{would} {plural(len(found.sessions), 'session')} and "
            f"{plural(len(found.blobs), 'blob')}, {human_bytes(found.bytes)}, to the trash"
        )
        if found.emptied:
            size = human_bytes(found.emptied_bytes)
            call.out.line(f"{'would delete' if dry_run else 'deleted'} {size} of old trash")
        if found.trash:
            call.out.note("bring it back: lfsd store gc --restore")

    call.out.result(
        {
            "schema": SCHEMA,
            "dry_run": dry_run,
            "sessions": [{"id": s.id, "number": s.number} for s in found.sessions],
            "thinned": found.thinned,
            "blobs": found.blobs,
            "bytes": found.bytes,
            "trash": found.trash,
            "emptied": found.emptied,
            "emptied_bytes": found.emptied_bytes,
        },
        human=human,
        quiet=[s.id for s in found.sessions] + found.blobs,
    )


def _print_restored(call: Call, found: "Restored") -> None:
    def human() -> None:
        call.out.line(
            f"brought back {plural(len(found.sessions), 'session')} and "
            f"{plural(found.blobs, 'blob')}"
        )
        for line in found.left:
            call.out.line(f"left in the trash: {line}")
        if found.sessions:
            call.out.note("see them: lfsd log --all")

    call.out.result(
        {
            "schema": SCHEMA,
            "restored": found.sessions,
            "blobs": found.blobs,
            "left": found.left,
        },
        human=human,
        quiet=found.sessions,
    )
    if found.left:
        raise typer.Exit(ExitCode.CORRUPT)


def compact(call: Call) -> None:
    """Write the records file anew without its free pages.

    The old file stays in use until the new one is complete and checked. Nothing else may be
    reading the store meanwhile.
    """
    from store.compact import compact as run
    from store.store import Store

    with Store.open(call.home, write=True) as store:
        before, after = run(store)
    call.out.result(
        {"schema": SCHEMA, "bytes_before": before, "bytes_after": after},
        human=lambda: call.out.line(f"records: {human_bytes(before)}, now {human_bytes(after)}"),
        quiet=[after],
    )


def unlock(call: Call) -> None:
    """Clear what a killed process left: its name in the lock file and its drafts.

    The lock itself cannot be left behind: the system opens it when its holder ends. While the
    holder is alive it is named, and nothing is changed.
    """
    from store.lock import unlock as run
    from store.schema import check_format

    home = call.home.absolute()
    check_format(home)
    left, drafts = run(home)

    def human() -> None:
        call.out.line("the store is not locked")
        if left:
            call.out.line(f"cleared the name of process {left.get('pid')}, gone since")
        if drafts:
            call.out.line(f"removed {plural(drafts, 'unfinished file')}")

    call.out.result(
        {"schema": SCHEMA, "locked": False, "left_by": left or None, "drafts_removed": drafts},
        human=human,
        quiet=[],
    )
