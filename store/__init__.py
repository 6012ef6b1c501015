"""The store: records, blobs and the chain of sessions. See docs/store.md."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from store.errors import (
    BaseMismatchError,
    LfsdError,
    NotFoundError,
    ResourceError,
    SchemaError,
    StoreBusyError,
    StoreCorruptError,
    UsageError,
)

if TYPE_CHECKING:
    from store.records import (
        BaseRef,
        Concept,
        Context,
        NewConcept,
        Photo,
        Refusal,
        Row,
        Session,
    )
    from store.store import Store, writer

__all__ = [
    "BaseMismatchError",
    "BaseRef",
    "Concept",
    "Context",
    "LfsdError",
    "NewConcept",
    "NotFoundError",
    "Photo",
    "Refusal",
    "ResourceError",
    "Row",
    "SchemaError",
    "Session",
    "Store",
    "StoreBusyError",
    "StoreCorruptError",
    "UsageError",
    "writer",
]


def __getattr__(name: str) -> Any:
    """Import all but the errors on first use: who only catches those need not wait for LMDB."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "store.store" if name in ("Store", "writer") else "store.records"
    return getattr(import_module(home), name)
