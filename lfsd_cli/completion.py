"""What the shell may complete: tokens and sessions, straight from the records."""

from pathlib import Path

import typer

from lfsd_cli.context import default_home
from lfsd_cli.text import clean

Completions = list[tuple[str, str]]


def tokens(ctx: typer.Context, incomplete: str) -> Completions:
    """The tokens known now, each with its class noun."""
    from store.errors import LfsdError
    from store.store import Store

    try:
        with Store.open(_home(ctx)) as store:
            known = [(c.token, clean(c.class_noun)) for c in store.concepts()]
    except LfsdError:
        return []  # a key press is no place for an error
    return [(token, noun) for token, noun in known if token.startswith(incomplete)]


def sessions(ctx: typer.Context, incomplete: str) -> Completions:
    """The sessions by number (by id where they are off the line), each with what it changed."""
    from lfsd_cli.documents import change_text
    from store.errors import LfsdError
    from store.store import Store

    try:
        with Store.open(_home(ctx)) as store:
            line = {session.id for session in store.sessions()}
            known = [
                (str(s.number) if s.id in line else s.id[:10], clean(change_text(store, s)))
                for s in store.all_sessions()
            ]
    except LfsdError:
        return []
    return [(name, change) for name, change in known if name.startswith(incomplete)]


def _home(ctx: typer.Context) -> Path:
    """The folder that the words typed so far name, before or after the verb."""
    for given in (ctx.params.get("home"), ctx.find_root().params.get("home")):
        if given:
            return Path(str(given)).expanduser()
    return default_home()
