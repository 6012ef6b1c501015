"""The one exception tree: each class is one reason a user can act on."""


class LfsdError(Exception):
    """Root of every failure we report: `message` says what happened, `hint` what to type next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LfsdError):
    """The request cannot be carried out as given (a bad or taken token, a read-only home)."""


class NotFoundError(LfsdError):
    """No such store, concept or session."""


class StoreBusyError(LfsdError):
    """Another process holds the writer lock; `holder` says which (pid, host, command, since)."""

    def __init__(
        self, message: str, hint: str = "", holder: dict[str, str | int] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.holder: dict[str, str | int] = holder or {}


class StoreCorruptError(LfsdError):
    """Something in the store is not what was written: the message names the file or record."""


class ResourceError(LfsdError):
    """Out of disk space or memory."""


class BaseMismatchError(LfsdError):
    """The store is pinned to another base model."""


class SchemaError(UsageError):
    """The store was written in a schema this version does not know; nothing is wrong with it."""
