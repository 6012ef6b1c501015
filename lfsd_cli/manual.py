"""Every command's help as one page: `python -m lfsd_cli.manual > docs/commands.md`."""

from collections.abc import Iterator
from typing import Any

import typer

from lfsd_cli.main import build

WIDTH = 88
INTRO = """\
# Commands

What `lfsd --help` and `lfsd COMMAND --help` print, on one page. Made from them by
`make docs/commands.md`; a test compares the two.
"""


def page() -> str:
    """The whole page, Markdown."""
    root = typer.main.get_command(build())
    return "\n".join([INTRO, *(_block(path, text) for path, text in _helps(root, "lfsd"))])


def _helps(command: Any, path: str, above: Any = None) -> Iterator[tuple[str, str]]:
    context = command.make_context(
        path.split()[-1], [], parent=above, resilient_parsing=True, max_content_width=WIDTH
    )
    context.terminal_width = WIDTH
    yield path, command.get_help(context)
    for name, below in getattr(command, "commands", {}).items():
        yield from _helps(below, f"{path} {name}", context)


def _block(path: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return f"## {path}\n\n```\n{lines}\n```\n"


if __name__ == "__main__":
    typer.echo(page(), nl=False)
