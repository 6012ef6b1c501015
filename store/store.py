"""The store: one folder that keeps everything a lifelong model has learned.

Format, invariants and write order are written down in docs/store.md; this file is where they meet.
"""

import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from store import commit, history
from store.collected import explain, read_marks
from store.create import is_store, lay_out, refuse_existing
from store.env import Records, Table, Txn
from store.errors import UsageError
from store.files import disk_errors, make_folder, require_free, stamp, sweep
from store.lock import Holder, Wait, WriterLock, lock_holder
from store.reading import Reader
from store.records import BaseRef, Kind, NewConcept, Session
from store.schema import check_format
from store.text import printable

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

# What one transaction may add to the records file and to the folders.
_ROOM_FOR_RECORDS = 256 << 10


class Store(Reader):
    """An open store. Use `Store.open` or `Store.create`, as a context manager."""

    def __init__(self, home: Path, records: Records, lock: WriterLock | None) -> None:
        self._lock = lock
        self._tmp = home / "tmp"
        # Also runs when a store is dropped without being closed.
        self._finish = weakref.finalize(self, _release, records, lock)
        try:
            super().__init__(home, records)
        except BaseException:
            self._finish()
            raise

    # -- opening and closing ---------------------------------------------------------------

    @classmethod
    def exists(cls, home: Path) -> bool:
        """Say whether there is a store in a folder."""
        return is_store(home)

    @classmethod
    def create(
        cls, home: Path, base: BaseRef, *, versions: Mapping[str, str] | None = None
    ) -> "Store":
        """Make a store pinned to `base`, commit session 0, and return it open for writing.

        UsageError if there is one already. The folder becomes a store with its last step, the
        format file: a creation that was cut short is no store and can be started again.
        """
        home = home.absolute()
        make_folder(home)
        refuse_existing(home)
        lock = WriterLock(home / "lock")
        try:
            refuse_existing(home)
            with disk_errors("opening", home):
                if [entry.name for entry in home.iterdir()] == ["lock"]:
                    home.chmod(0o700)
            lay_out(home, base, dict(versions or {}))
            return cls(home, Records.open(home / "records"), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, home: Path, *, write: bool = False, wait: Wait | None = None) -> "Store":
        """Open a store; `write=True` takes the writer lock (StoreBusyError names its holder).

        `wait` is handed that error again and again while the lock is taken; False gives up.
        NotFoundError if there is none, SchemaError if it is newer than we are,
        StoreCorruptError if it is damaged, UsageError if it is read-only and `write` was asked.
        """
        home = home.absolute()
        check_format(home)
        lock = WriterLock(home / "lock", wait) if write else None
        try:
            if write:
                sweep(home / "tmp")
            return cls(home, Records.open(home / "records", write=write), lock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Close the files and let go of the writer lock; harmless when done twice."""
        self._closed = True
        self._finish()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def writable(self) -> bool:
        """Whether this object holds the writer lock."""
        return self._lock is not None and not self._closed

    @property
    def work_dir(self) -> Path:
        """The folder for the running session's checkpoint; the store never looks inside."""
        path = self._home / "work"
        if self.writable:
            make_folder(path)
        return path

    def _must_write(self) -> None:
        if not self.writable:
            raise UsageError("this store is open for reading only")

    # -- for upkeep (compact, collect, repair) ---------------------------------------------

    def update(self, change: Callable[[Txn], T]) -> T:
        """Run a change of the records in one transaction (for the store's own modules)."""
        self._must_write()
        return self._records.update(change)

    def draft_folder(self, name: str) -> Path:
        """Make a folder under tmp/ that the next writer removes if we do not."""
        self._must_write()
        make_folder(self._tmp)
        folder = self._tmp / f"{name}.{stamp()}"
        make_folder(folder)
        return folder

    def replace_records(self, new: Path) -> None:
        """Put a records file in the place of ours; StoreBusyError while another process reads."""
        self._must_write()
        self._records.replace(new)

    # -- blobs -----------------------------------------------------------------------------

    def put_blob(self, data: bytes) -> str:
        """Store bytes durably and return their SHA-256, their name from now on."""
        self._must_write()
        return self._blobs.put(data)

    def put_tensors(self, tensors: "Mapping[str, np.ndarray]") -> str:
        """Store arrays as one safetensors blob; equal arrays give the same name."""
        self._must_write()
        return self._blobs.put_tensors(tensors)

    def require_space(self, size: int, doing: str) -> None:
        """Refuse to begin what the disk has no room for; ResourceError says how much is missing.

        `size` in bytes; what the records need beside it is added.
        """
        require_free(self._home, size + _ROOM_FOR_RECORDS, doing)

    # -- committing ------------------------------------------------------------------------

    def commit_learn(
        self,
        *,
        concept: NewConcept,
        adapter: str,
        settings: Mapping[str, Any],
        metrics: Mapping[str, Any],
        versions: Mapping[str, str],
        seconds: float,
    ) -> Session:
        """Commit a learned concept and the adapter that knows it, all or nothing.

        UsageError if the token is taken; StoreCorruptError if a blob it names is not there;
        TypeError if settings or metrics are not JSON-able.
        """
        self._must_write()
        for sha in (adapter, *concept.blobs()):
            self._blobs.size(sha)
        with self.read() as txn:
            commit.check_token(txn, concept.token)
            parent = history.load(txn, history.head_id(txn))
        return self._commit(
            parent, "learn", learned=concept, adapter=adapter, settings=dict(settings),
            metrics=dict(metrics), versions=dict(versions), seconds=float(seconds),
        )  # fmt: skip

    def commit_rm(self, token: str) -> Session:
        """Commit the removal of a concept. Its session stays: `undo` brings it back whole."""
        self._must_write()
        with self.read() as txn:
            concept = history.find_concept(txn, token, None)
            parent = history.load(txn, history.head_id(txn))
        return self._commit(parent, "rm", removed=concept.id, adapter=parent.adapter)

    def commit_rename(self, old: str, new: str) -> Session:
        """Commit a new token for a concept; its id, rows and blobs stay as they are."""
        self._must_write()
        with self.read() as txn:
            concept = history.find_concept(txn, old, None)
            if new == old:
                raise UsageError(f"{printable(old)} has that token already")
            commit.check_token(txn, new, own=concept.id)
            parent = history.load(txn, history.head_id(txn))
        return self._commit(parent, "rename", renamed=(old, new), adapter=parent.adapter)

    def _commit(self, parent: Session, kind: Kind, **fields: Any) -> Session:
        session = commit.new_session(parent, kind, **fields)
        if kind == "learn":  # the others take next to nothing, and may be what makes room
            self.require_space(4 * len(commit.session_bytes(session)), "this session's records")
        commit.write_session_file(self._home, session, self._tmp)
        self.update(lambda txn: commit.append(txn, session, self._blobs.size))
        return self.session(session.id)

    def undo(self) -> Session:
        """Go back one session and return the new head; the session left is kept."""
        head = self.head
        if head.parent is None:
            raise UsageError("there is nothing to undo: the store is at its first session")
        return self.goto(head.parent)

    def goto(self, ref: str) -> Session:
        """Stand at another session and return it; nothing is lost, going forward works too."""

        def move(txn: Txn) -> str:
            target = history.resolve(txn, ref)
            if target != history.head_id(txn):
                self._must_stand(txn, target)
                commit.move_head(txn, target, self._blobs.size)
            return target

        return self.session(self.update(move))

    def _must_stand(self, txn: Txn, session_id: str) -> None:
        """Refuse a session whose adapter or contexts were collected to make room."""
        absent = read_marks(self._home)
        if not absent:
            return
        session = history.load(txn, session_id)
        names = [sha for c in history.concepts(txn, session_id) for sha in c.blobs()]
        for sha in [session.adapter, *names] if session.adapter else names:
            if sha in absent and not self._blobs.path(sha).exists():
                explain(self._home, sha, f"the model of session {session.number}")

    def update_metrics(self, session_id: str, metrics: Mapping[str, Any]) -> None:
        """Replace a session's metrics after measuring again; what it was committed with stays."""
        plain = commit.plain(dict(metrics), dict[str, Any], "metrics")

        def put(txn: Txn) -> None:
            txn.put(Table.METRICS, history.resolve(txn, session_id).encode(), plain)

        self.update(put)


def writer(home: Path) -> Holder | None:
    """Say who is writing a store now (pid, host, command, since), or None."""
    return lock_holder(home / "lock")


def _release(records: Records, lock: WriterLock | None) -> None:
    records.close()
    if lock is not None:
        lock.release()
