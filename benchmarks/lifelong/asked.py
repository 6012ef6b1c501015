"""The frame of a command that asks a run's states: one Markdown table, or one plain line."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lfsd.errors import LfsdError


def answer(
    out: Path, heads: Sequence[str], words: int, ask: Callable[[], Sequence[Sequence[str]]]
) -> int:
    """Print what `ask` finds under `heads`, of which the first `words` columns hold words.

    The exit status: 1, and a plain line, when something is wrong or `out` holds nothing to ask.
    """
    try:
        rows = ask()
    except LfsdError as error:
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    if not rows:
        print(f"{out} holds no whole run of these methods with its states", file=sys.stderr)
        return 1
    ruler = ["---"] * words + ["---:"] * (len(heads) - words)
    for row in (heads, ruler, *rows):
        print("| " + " | ".join(row) + " |")
    return 0
