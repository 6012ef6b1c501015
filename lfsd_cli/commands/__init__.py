"""One file a verb. Importing a command is cheap: heavy libraries are loaded by its body."""

import typer


def register_all(app: typer.Typer) -> None:
    """Add every command to the app, in the order the help lists them."""
    from lfsd_cli.commands import (
        demo,
        doctor,
        gen,
        goto,
        init,
        learn,
        log,
        ls,
        rename,
        report,
        rm,
        show,
        store_group,
        tui,
        undo,
    )

    for verb in (
        learn, gen, ls, show, log, report, rm, rename, undo, goto, init, store_group, demo, tui,
        doctor,
    ):  # fmt: skip
        verb.add(app)
