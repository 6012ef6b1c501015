"""Placeholder tokens as words: their grammar, and finding them in a prompt; no torch needed."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lfsd.errors import UsageError

TOKEN_GRAMMAR = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class FoundTokens(NamedTuple):
    """Tokens in a prompt: `known` in order of appearance; `unsure` are (word, what was probably
    meant)."""

    known: list[str]
    unsure: list[tuple[str, str | None]]


def check_name(token: str, taken: Iterable[str]) -> None:
    """UsageError if `token` breaks the grammar or is taken, in any case of its letters."""
    if not TOKEN_GRAMMAR.fullmatch(token):
        raise UsageError(
            f"{token!r} cannot be a token", "use a letter, then letters, digits, _ or -: V1, my-dog"
        )
    for other in taken:
        if other.casefold() == token.casefold():
            raise UsageError(f"the token {other} is taken", "choose another one; see: lfsd ls")


def find_tokens(prompt: str, tokens: Sequence[str]) -> FoundTokens:
    """The tokens that stand in `prompt` as whole words, and words that only look like one.

    A word is unsure if it differs from a token by case only, or is letter(s) + digits, like V9.
    """
    known: list[str] = []
    unsure: list[tuple[str, str | None]] = []
    folded = {token.casefold(): token for token in tokens}
    for word in WORD.findall(prompt):
        if word in tokens:
            if word not in known:
                known.append(word)
        elif word.casefold() in folded:
            unsure.append((word, folded[word.casefold()]))
        elif re.fullmatch(r"[A-Z]{1,2}[0-9]{1,3}", word):
            near = difflib.get_close_matches(word, tokens, n=1, cutoff=0.4)
            unsure.append((word, near[0] if near else None))
    return FoundTokens(known, unsure)
