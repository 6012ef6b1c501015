"""What a concept looks like, before anything is drawn of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from store.records import Concept
    from store.store import Store


@dataclass(frozen=True)
class Portrait:
    """The photo kept of a concept if its owner wished it, else a picture `drawn` of it."""

    home: Path
    token: str
    drawn: Path | None = None

    def load(self) -> "Image | None":
        """Read it; None if there is neither. LfsdError if the store is damaged."""
        from store.errors import NotFoundError
        from store.store import Store

        try:
            with Store.open(self.home) as store:
                return kept(store, store.concept(self.token)) or readable(self.drawn)
        except NotFoundError:  # removed or renamed a moment ago
            return None


def kept(store: "Store", concept: "Concept") -> "Image | None":
    """The small photo in the store; None if its owner did not ask for one."""
    from PIL import Image

    pixels = store.thumbnail(concept)
    return None if pixels is None else Image.fromarray(pixels)


def readable(path: Path | None) -> "Image | None":
    """A picture if there is one that can be read."""
    try:
        return None if path is None else load(path)
    except (OSError, ValueError, SyntaxError):  # gone, or no picture
        return None


def load(path: Path, largest: int = 640) -> "Image":
    """Read a PNG, no larger than a screen needs; OSError if it is not one."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((largest, largest))
    return picture


def last_preview(home: Path, token: str) -> Path | None:
    """The newest picture drawn of a concept while it was being learned."""
    return next(iter(newest(home / "work", f"preview-{token}-*.png")), None)


def newest(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder that match, newest first."""

    def made(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(folder.glob(pattern), key=made, reverse=True)
