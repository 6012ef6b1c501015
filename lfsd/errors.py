"""Everything lfsd raises on purpose: the store's errors, and three of the method's own."""

from store.errors import (
    BaseMismatchError,
    LfsdError,
    NotFoundError,
    ResourceError,
    StoreBusyError,
    StoreCorruptError,
    UsageError,
)

__all__ = [
    "BaseMismatchError",
    "BaseUnavailableError",
    "InterruptedLearning",
    "LfsdError",
    "NotFoundError",
    "PhotosRefusedError",
    "ResourceError",
    "StoreBusyError",
    "StoreCorruptError",
    "UsageError",
]


class BaseUnavailableError(LfsdError):
    """The base model cannot be had: no such folder, not a Stable Diffusion layout, hub
    unreachable."""


class PhotosRefusedError(LfsdError):
    """Some photos were refused and the caller asked for `strict`."""


class InterruptedLearning(LfsdError):
    """Learning stopped at the caller's wish; its checkpoint is on disk and `resume` continues
    it."""
