"""Make text from outside (file names, captions, metadata) safe to show on a terminal."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# C0 and C1 controls drive the terminal; the bidirectional controls reorder what the eye reads.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_JSON_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(value: object) -> str:
    """One line of text with every control character written as an escape, e.g. `\\x1b`."""
    return _CONTROL.sub(lambda found: _escape(found.group()), str(value))


def clean_lines(value: object) -> str:
    """Like `clean`, line by line: line feeds stay."""
    return "\n".join(clean(line) for line in str(value).split("\n"))


def to_json(document: object, *, indent: int | None = None) -> str:
    """A JSON document that any parser accepts: no NaN, no lone surrogate, no control character."""
    text = json.dumps(_finite(document), ensure_ascii=False, indent=indent, default=str)
    return _JSON_UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def human_bytes(count: int) -> str:
    """A size as people read it: 812 B, 3.4 kB, 12 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def human_seconds(seconds: float) -> str:
    """A duration as people read it: 8 s, 1 min 32 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(count: int, noun: str) -> str:
    """`1 photo`, `2 photos`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _escape(char: str) -> str:
    code = ord(char)
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(
        char, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_finite(item) for item in value]
    return value
