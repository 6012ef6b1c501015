"""One file a verb. Importing a command is cheap: heavy libraries are loaded by its body."""

from importlib import import_module

import typer

# verb -> module, in the order the help lists them
VERBS = {
    "learn": "learn", "gen": "gen", "ls": "ls", "show": "show", "log": "log", "report": "report",
    "rm": "rm", "rename": "rename", "undo": "undo", "goto": "goto", "export": "export",
    "init": "init", "store": "store_group", "demo": "demo", "tui": "tui", "doctor": "doctor",
}  # fmt: skip


def register(app: typer.Typer, verb: str | None = None) -> None:
    """Add one command to the app, or every one if `verb` is none of them."""
    wanted = [VERBS[verb]] if verb in VERBS else VERBS.values()
    for module in wanted:
        import_module(f"lfsd_cli.commands.{module}").add(app)
