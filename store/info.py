"""What a store is made of, in numbers."""

import msgspec

from store.env import Table
from store.files import free_bytes, tree_bytes
from store.lock import Holder, lock_holder
from store.reading import Reader
from store.records import BaseRef


class Part(msgspec.Struct, frozen=True):
    """One folder of a store: its files and their bytes."""

    files: int
    bytes: int


class Info(msgspec.Struct, frozen=True):
    """What `lfsd store info` shows."""

    id: str
    schema: int
    created: str
    base: BaseRef
    head: str
    head_number: int
    concepts: int
    sessions: int
    sessions_off_line: int
    parts: dict[str, Part]
    free: int
    writer: Holder | None


PARTS = ("records", "blobs", "sessions", "trash", "aside", "work", "tmp")


def info(store: Reader) -> Info:
    """Count what is there; cheap but for the folders, which are listed."""
    with store.read() as txn:
        sessions, line = txn.count(Table.SESSIONS), txn.count(Table.LINE)
        concepts = txn.count(Table.ALIVE)
    head = store.head
    return Info(
        id=store.id,
        schema=store.schema,
        created=store.created,
        base=store.base,
        head=head.id,
        head_number=head.number,
        concepts=concepts,
        sessions=sessions,
        sessions_off_line=sessions - line,
        parts={name: Part(*tree_bytes(store.home / name)) for name in PARTS},
        free=free_bytes(store.home),
        writer=lock_holder(store.home / "lock"),
    )
