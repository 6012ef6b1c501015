"""From options and `--set KEY=VALUE` to the core's Settings."""

import json
from typing import TYPE_CHECKING, Any

from store.errors import UsageError

if TYPE_CHECKING:
    from lfsd.settings import Settings


def settings_from(options: dict[str, Any], pairs: list[str]) -> "Settings":
    """Settings from the options that were given (None: not given), then from KEY=VALUE pairs.

    Raises UsageError for a pair without `=`, an unknown key (with the nearest one) or a bad value.
    """
    from lfsd.settings import Settings

    values = {key: value for key, value in options.items() if value is not None}
    known = set(Settings().to_dict())
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}: no '=' in it", "write it as --set KEY=VALUE")
        if key not in known:
            raise UsageError(f"--set {key}: no such setting", _nearest(key, known))
        values[key] = _value(text)
    return Settings.from_dict({**Settings().to_dict(), **values})


def _value(text: str) -> Any:
    """`3`, `0.5`, `true`, `null` and `["attn1"]` as JSON means them; anything else is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _nearest(key: str, known: set[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(known))}"
