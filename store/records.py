"""What the store keeps: plain frozen records, and the rule that rebuilds a concept set from them.

A session records its CHANGE (one concept learned, removed or renamed). The concepts alive at a
session are the replay of its chain of parents, so nothing is ever rewritten to go back in time.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from store.errors import StoreCorruptError

if TYPE_CHECKING:
    import numpy as np


class BaseRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which base model a store is pinned to; `sha256` is the content hash that decides."""

    id: str
    revision: str
    sha256: str
    layout: str


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One vision context: blob {"latent": [C,h,w], "mask": [h,w]} of one photo,
    in half precision or single.

    A concept's first one holds a "thumbnail" [h,w,3] u8 as well, if its owner asked for it.
    """

    latents: str
    photo_index: int


class Photo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A photo a concept was learned from. The photo itself is not kept."""

    name: str
    sha256: str
    caption: str | None = None


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that was offered and not used."""

    file: str
    reason: str


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One learned embedding row: little-endian float32 bytes, so it comes back bit for bit."""

    encoder: int
    token: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, encoder: int, token: str, array: "np.ndarray") -> "Row":
        """Pack an array of any shape (converted to float32)."""
        import numpy as np

        packed = np.ascontiguousarray(array, dtype="<f4")
        return cls(encoder, token, tuple(int(n) for n in np.shape(array)), packed.tobytes())

    def array(self) -> "np.ndarray":
        """Unpack to a writable float32 array of `shape`."""
        import numpy as np

        return np.frombuffer(self.data, dtype="<f4").reshape(self.shape).astype(np.float32)


class NewConcept(msgspec.Struct, frozen=True, kw_only=True):
    """What a learning session hands in; the store fills in id, session and time."""

    token: str
    class_noun: str
    photos: tuple[Photo, ...] = ()
    refused: tuple[Refusal, ...] = ()
    contexts: tuple[Context, ...] = ()
    rows: tuple[Row, ...] = ()
    reference: str | None = None

    def blobs(self) -> tuple[str, ...]:
        """Name every blob this concept needs."""
        return _blob_names(self.contexts, self.reference)


class Concept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A subject taught. `id` and everything else stay for life; a rename changes `token` only."""

    id: str
    token: str
    class_noun: str
    session: str
    created: str
    photos: tuple[Photo, ...] = ()
    refused: tuple[Refusal, ...] = ()
    contexts: tuple[Context, ...] = ()
    rows: tuple[Row, ...] = ()
    reference: str | None = None

    def blobs(self) -> tuple[str, ...]:
        """Name every blob this concept needs."""
        return _blob_names(self.contexts, self.reference)


def _blob_names(contexts: tuple[Context, ...], reference: str | None) -> tuple[str, ...]:
    return (*(context.latents for context in contexts), *([reference] if reference else []))


Kind = Literal["init", "learn", "rm", "rename"]


class Session(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One commit: the change it made, and the adapter as it left it."""

    id: str
    number: int
    parent: str | None
    created: str
    kind: Kind
    concept: Concept | None = None
    removed: str | None = None
    renamed: tuple[str, str] | None = None
    adapter: str | None = None
    settings: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    versions: dict[str, str] = {}
    seconds: float = 0.0

    def blobs(self) -> tuple[str, ...]:
        """Name every blob this session needs."""
        own = (self.adapter,) if self.adapter else ()
        return own + (self.concept.blobs() if self.concept else ())


class Alive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A concept alive at some session: its id, its token there, the number it was learned at."""

    concept: str
    token: str
    number: int
    summary: "Summary | None" = None


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a list of concepts shows of one: `bytes` are its rows and blobs on disk."""

    class_noun: str
    photos: int
    contexts: int
    bytes: int
    created: str


def concept_id(session_id: str) -> str:
    """Name the concept a learning session brought: same digits, another letter."""
    return "c" + session_id[1:]


def fold(token: str) -> str:
    """Fold a token for comparison: tokens that differ by case alone are the same word."""
    return token.casefold()


def replay(chain: Iterable[Session]) -> dict[str, Alive]:
    """Rebuild the concepts alive at the end of a chain (root first), in order of learning.

    Returns folded token -> Alive. StoreCorruptError if a change does not fit what came before.
    """
    alive: dict[str, Alive] = {}
    for session in chain:
        if session.kind == "learn":
            assert session.concept is not None
            alive[session.concept.id] = Alive(
                session.concept.id, session.concept.token, session.number
            )
        elif session.kind == "rm":
            if alive.pop(session.removed or "", None) is None:
                raise StoreCorruptError(f"session {session.number} removes an unknown concept")
        elif session.kind == "rename":
            old, new = session.renamed or ("", "")
            found = [entry for entry in alive.values() if entry.token == old]
            if len(found) != 1:
                raise StoreCorruptError(f"session {session.number} renames an unknown concept")
            entry = found[0]
            alive[entry.concept] = Alive(entry.concept, new, entry.number)
    by_token = {fold(entry.token): entry for entry in alive.values()}
    if len(by_token) != len(alive):
        raise StoreCorruptError("two concepts share one token at the end of the chain")
    return by_token
