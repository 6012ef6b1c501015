"""Text that came from outside, made safe to put into a message."""


def printable(text: str, limit: int = 120) -> str:
    """Escape control characters (an ESC sequence in a file name) and cut to `limit` characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def byte_count(n: int) -> str:
    """Say a number of bytes the way `df -h` does (powers of 1000)."""
    size = float(n)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
