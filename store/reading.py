"""Everything that can be asked of an open store; nothing here changes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from store import commit, history
from store.blobs import Blobs
from store.env import Records, Table, Txn
from store.errors import BaseMismatchError
from store.records import BaseRef, Concept, Session
from store.schema import StoreInfo, check_schema
from store.text import printable

if TYPE_CHECKING:
    import numpy as np

INFO = b"store"


class Reader:
    """The reading half of `Store`. Each call reads one snapshot, whatever a writer does beside."""

    def __init__(self, home: Path, records: Records) -> None:
        self._home = home
        self._records = records
        self._closed = False
        self._blobs = Blobs(home / "blobs", home / "tmp")
        with self.read() as txn:
            self._info = txn.need(Table.META, INFO, StoreInfo)
            history.head_id(txn)
        check_schema(self._info.schema, printable(str(home), 300))

    @contextmanager
    def read(self) -> Iterator[Txn]:
        """Open a snapshot of the records (for the store's own modules)."""
        if self._closed:
            raise ValueError("this store has been closed")
        with self._records.read() as txn:
            yield txn

    @property
    def home(self) -> Path:
        """The store's folder, absolute."""
        return self._home

    @property
    def id(self) -> str:
        """The store's own random id, the same for life."""
        return self._info.id

    @property
    def base(self) -> BaseRef:
        """The base model this store is pinned to."""
        return self._info.base

    @property
    def head(self) -> Session:
        """The session the store stands at now (read anew each time)."""
        with self.read() as txn:
            return history.load(txn, history.head_id(txn))

    def session(self, ref: str) -> Session:
        """Find a session by number, id, id prefix (4 characters or more), `HEAD` or `HEAD~2`."""
        with self.read() as txn:
            return history.load(txn, history.resolve(txn, ref))

    def sessions(self, at: str | None = None) -> list[Session]:
        """Return the line from the root to a session (the head by default)."""
        with self.read() as txn:
            return history.chain(
                txn, history.head_id(txn) if at is None else history.resolve(txn, at)
            )

    def all_sessions(self) -> list[Session]:
        """Return every session, those off the head's line included, by number then time."""
        with self.read() as txn:
            ids = [session.id for _, session in txn.items(Table.SESSIONS, Session)]
            found = [history.load(txn, session_id) for session_id in ids]
        return sorted(found, key=lambda session: (session.number, session.created, session.id))

    def concepts(self, at: str | None = None) -> list[Concept]:
        """Return the concepts alive at a session (the head by default), in order of learning."""
        with self.read() as txn:
            return history.concepts(txn, at)

    def concept(self, token: str, at: str | None = None) -> Concept:
        """Find the concept a token names; NotFoundError suggests a near miss."""
        with self.read() as txn:
            return history.find_concept(txn, token, at)

    def check_token(self, token: str) -> None:
        """Refuse, before an hour is spent learning it, a token `commit_learn` would refuse."""
        with self.read() as txn:
            commit.check_token(txn, token)

    def check_base(self, base: BaseRef) -> None:
        """Refuse a base other than the one this store is pinned to (by content hash and layout)."""
        mine = self.base
        if (base.sha256, base.layout) != (mine.sha256, mine.layout):
            raise BaseMismatchError(
                f"this store is pinned to the base {printable(mine.id)} ({mine.sha256[:12]}), and "
                f"{printable(base.id)} is another one now ({base.sha256[:12]})",
                "bring that version back (pocket comes with lfsd: install the lfsd of then), "
                "or start another store with --home FOLDER",
            )

    def blob(self, sha: str) -> bytes:
        """Read a blob; StoreCorruptError if its bytes are not those it is named after."""
        return self._blobs.get(sha)

    def tensors(self, sha: str) -> "dict[str, np.ndarray]":
        """Read a safetensors blob, its SHA-256 checked; StoreCorruptError when it is damaged."""
        return self._blobs.tensors(sha)

    def blob_path(self, sha: str) -> Path:
        """Return the file a blob is kept in; its content must not be trusted unchecked."""
        return self._blobs.path(sha)

    def blob_size(self, sha: str) -> int:
        """Return the size of a blob in bytes; StoreCorruptError when it is missing."""
        return self._blobs.size(sha)
