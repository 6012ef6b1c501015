"""The prompt's line: tokens that are known are coloured, and completed as they are typed."""

import re
from collections.abc import Callable, Sequence

from rich.highlighter import Highlighter
from rich.text import Text
from textual.suggester import Suggester

from lfsd.words import find_tokens
from lfsd_cli.tui.data import ConceptRow

KNOWN = "bold cyan"
UNSURE = "underline yellow"
Concepts = Callable[[], Sequence[ConceptRow]]


class TokenHighlighter(Highlighter):
    """Colours whole words that are tokens, and underlines those that only look like one.

    What counts is what generation will find: the same function decides.
    """

    def __init__(self, concepts: Concepts) -> None:
        self._concepts = concepts

    def highlight(self, text: Text) -> None:
        """Style the words in place."""
        found = find_tokens(text.plain, [row.token for row in self._concepts()])
        for word in found.known:
            text.highlight_regex(_whole(word), KNOWN)
        for word, _ in found.unsure:
            text.highlight_regex(_whole(word), UNSURE)


class TokenSuggester(Suggester):
    """Completes the last word to a token and its class noun: "a V" -> "a V1 cat"."""

    def __init__(self, concepts: Concepts) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._concepts = concepts

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line as it would be, or None."""
        before, _, word = value.rpartition(" ")
        if not word:
            return self._noun_after(before, value)
        lead = value[: len(value) - len(word)]
        for row in self._concepts():
            if row.token.casefold().startswith(word.casefold()):
                return f"{lead}{row.words}"
        return None

    def _noun_after(self, before: str, value: str) -> str | None:
        """ "a V1 " -> "a V1 cat"."""
        last = before.rpartition(" ")[2]
        row = next((row for row in self._concepts() if row.token == last), None)
        return f"{value}{row.class_noun}" if row else None


def _whole(word: str) -> str:
    return rf"(?<![A-Za-z0-9_-]){re.escape(word)}(?![A-Za-z0-9_-])"
