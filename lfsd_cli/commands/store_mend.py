"""`lfsd store repair | migrate`: a damaged store, and one of an earlier version."""

from typing import Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import UPKEEP_EXITS, ExitCode
from lfsd_cli.text import plural


def add(group: typer.Typer) -> None:
    """Register the commands."""
    register(
        group,
        "repair",
        examples=[
            "lfsd store repair --dry-run      what it would do",
            "lfsd store repair",
            "lfsd store repair --allow-loss   when there is no backup, keep what there is",
        ],
        exits=UPKEEP_EXITS,
    )(repair)
    register(group, "migrate", examples=["lfsd store migrate"], exits=UPKEEP_EXITS)(migrate)


def repair(
    call: Call,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done.")
    ] = False,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Go on even if something cannot be saved.")
    ] = False,
) -> None:
    """Put a damaged store right from every copy there is.

    The records are rebuilt from the sessions' files, files from the records, blobs from the trash.
    Nothing is deleted: what is broken is moved to aside/ in the store. A step that loses something
    is refused, and nothing changed, unless --allow-loss is given.
    """
    from store.repair import repair as run

    done = run(call.home, dry_run=dry_run, allow_loss=allow_loss)

    def human() -> None:
        for step in done.steps:
            call.out.line(f"LOST: {step.what}" if step.lossy else step.what)
        if not done.steps:
            call.out.line("nothing to repair")
        if done.aside:
            call.out.line(f"what was broken is in {done.aside}")
        for problem in done.problems:
            call.out.line(f"still wrong: {problem}")
        if dry_run and done.steps:
            losses = sum(step.lossy for step in done.steps)
            call.out.note(
                f"nothing was changed; {plural(losses, 'step')} would lose something: --allow-loss"
                if losses
                else "nothing was changed; nothing would be lost: lfsd store repair"
            )

    call.out.result(
        {
            "schema": SCHEMA,
            "dry_run": dry_run,
            "steps": [{"what": step.what, "lossy": step.lossy} for step in done.steps],
            "aside": done.aside,
            "problems": done.problems,
        },
        human=human,
        quiet=[step.what for step in done.steps],
    )
    if done.problems:
        raise typer.Exit(ExitCode.CORRUPT)


def migrate(call: Call) -> None:
    """Bring a store of an earlier schema up to date.

    Works on a copy that takes the store's place when it is whole; the store as it was is kept
    beside it. A store of a newer schema is refused.
    """
    from store.migrate import migrate as run

    done = run(call.home)

    def human() -> None:
        if done.kept is None:
            call.out.line(f"nothing to do: the store has schema {done.after}")
            return
        call.out.line(f"schema {done.before}, now {done.after}")
        call.out.line(f"the store as it was: {done.kept}")

    call.out.result(
        {"schema": SCHEMA, "before": done.before, "after": done.after, "kept": done.kept},
        human=human,
        quiet=[done.after],
    )
