"""What a concept looks like, before anything is drawn of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import LfsdError

if TYPE_CHECKING:
    from PIL.Image import Image

    from store.records import Concept
    from store.store import Store


@dataclass(frozen=True)
class Portrait:
    """The photo kept of a concept if its owner wished it, else a picture `drawn` of it."""

    home: Path
    token: str
    drawn: Path | None = field(default=None, compare=False)

    def load(self) -> "Image | None":
        """Read it; None if there is neither, or none that can be read (`verify` says why)."""
        from store.store import Store

        try:
            with Store.open(self.home) as store:
                photo = kept(store, store.concept(self.token))
        except LfsdError:
            photo = None
        return photo or readable(self.drawn)


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


def preview_of(home: Path, concept_id: str) -> Path | None:
    """The last picture drawn of a concept while it was being learned."""
    path = home / "work" / f"concept-{concept_id}.png"
    return path if path.is_file() else None
