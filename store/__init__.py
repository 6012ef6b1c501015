"""The store: records, blobs and the chain of sessions. See docs/store.md."""

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
