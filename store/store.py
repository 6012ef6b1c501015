"""The store: one folder that keeps everything a lifelong model has learned.

Format, invariants and write order are written down in docs/store.md; this file is where they meet.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from store import commit, history
from store.blobs import Blobs
from store.env import Records, Table
from store.errors import (
    BaseMismatchError,
    LfsdError,
    NotFoundError,
    ResourceError,
    StoreCorruptError,
    UsageError,
)
from store.files import disk_errors, fsync_folder, make_folder, sweep
from store.lock import Holder, WriterLock, lock_holder
from store.records import BaseRef, Concept, NewConcept, Session
from store.schema import FORMAT_FILE, SCHEMA, StoreInfo, check_format, check_schema, write_format
from store.text import printable

if TYPE_CHECKING:
    import numpy as np

_INFO = b"store"


class Store:
    """An open store. Use `Store.open` or `Store.create`, as a context manager."""

    def __init__(self, home: Path, records: Records, lock: WriterLock | None) -> None:
        self._home = home
        self._records = records
        self._lock = lock
        self._tmp = home / "tmp"
        self._blobs = Blobs(home / "blobs", self._tmp)
        self._closed = False
        self._info = self._read_info()

    # -- opening and closing ---------------------------------------------------------------

    @classmethod
    def exists(cls, home: Path) -> bool:
        """Say whether there is a store in a folder."""
        with disk_errors("opening", home):
            return (home / FORMAT_FILE).is_file()

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
        fresh = not any(home.iterdir())
        _refuse_existing(home)
        lock = WriterLock(home / "lock")
        try:
            _refuse_existing(home)
            if fresh:
                home.chmod(0o700)
            _make_records(home, base, dict(versions or {}))
            return cls(home, Records.open(home / "records"), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, home: Path, *, write: bool = False) -> "Store":
        """Open a store; `write=True` takes the writer lock (StoreBusyError names its holder).

        NotFoundError if there is none, SchemaError if it is newer than we are,
        StoreCorruptError if it is damaged, UsageError if it is read-only and `write` was asked.
        """
        home = home.absolute()
        check_format(home)
        lock = WriterLock(home / "lock") if write else None
        try:
            if write:
                sweep(home / "tmp")
            return cls(home, Records.open(home / "records"), lock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Close the files and let go of the writer lock; harmless when done twice."""
        if self._closed:
            return
        self._closed = True
        self._records.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_info(self) -> StoreInfo:
        try:
            with self._records.read() as txn:
                info = txn.need(Table.META, _INFO, StoreInfo)
                history.head_id(txn)
            check_schema(info.schema, printable(str(self._home), 300))
        except BaseException:
            self._records.close()
            raise
        return info

    # -- reading ---------------------------------------------------------------------------

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
    def writable(self) -> bool:
        """Whether this object holds the writer lock."""
        return self._lock is not None and not self._closed

    @property
    def head(self) -> Session:
        """The session the store stands at now (read anew each time)."""
        with self._records.read() as txn:
            return history.load(txn, history.head_id(txn))

    def session(self, ref: str) -> Session:
        """Find a session by number, id, id prefix (4 characters or more), `HEAD` or `HEAD~2`."""
        with self._records.read() as txn:
            return history.load(txn, history.resolve(txn, ref))

    def sessions(self, at: str | None = None) -> list[Session]:
        """Return the line from the root to a session (the head by default)."""
        with self._records.read() as txn:
            return history.chain(
                txn, history.head_id(txn) if at is None else history.resolve(txn, at)
            )

    def all_sessions(self) -> list[Session]:
        """Return every session, those off the head's line included, by number then time."""
        with self._records.read() as txn:
            ids = [session.id for _, session in txn.items(Table.SESSIONS, Session)]
            found = [history.load(txn, session_id) for session_id in ids]
        return sorted(found, key=lambda session: (session.number, session.created, session.id))

    def concepts(self, at: str | None = None) -> list[Concept]:
        """Return the concepts alive at a session (the head by default), in order of learning."""
        with self._records.read() as txn:
            return history.concepts(txn, at)

    def concept(self, token: str, at: str | None = None) -> Concept:
        """Find the concept a token names; NotFoundError suggests a near miss."""
        with self._records.read() as txn:
            return history.find_concept(txn, token, at)

    def check_base(self, base: BaseRef) -> None:
        """Refuse a base other than the one this store is pinned to (by content hash and layout)."""
        mine = self.base
        if (base.sha256, base.layout) != (mine.sha256, mine.layout):
            raise BaseMismatchError(
                f"this store is pinned to the base {printable(mine.id)} ({mine.sha256[:12]}), not "
                f"{printable(base.id)} ({base.sha256[:12]})",
                f"use --base {printable(mine.id)}, or start another store with --home FOLDER",
            )

    # -- blobs -----------------------------------------------------------------------------

    def put_blob(self, data: bytes) -> str:
        """Store bytes durably and return their SHA-256; they stay until nothing refers to them."""
        self._must_write()
        return self._blobs.put(data)

    def blob(self, sha: str) -> bytes:
        """Read a blob; StoreCorruptError if its bytes are not those it is named after."""
        return self._blobs.get(sha)

    def put_tensors(self, tensors: "Mapping[str, np.ndarray]") -> str:
        """Store arrays as one safetensors blob; equal arrays give the same name."""
        self._must_write()
        return self._blobs.put_tensors(tensors)

    def tensors(self, sha: str) -> "dict[str, np.ndarray]":
        """Read a safetensors blob, its SHA-256 checked; StoreCorruptError when it is damaged."""
        return self._blobs.tensors(sha)

    def blob_path(self, sha: str) -> Path:
        """Return the file a blob is kept in (read-only for everyone else)."""
        return self._blobs.path(sha)

    def blob_size(self, sha: str) -> int:
        """Return the size of a blob in bytes; StoreCorruptError when it is missing."""
        return self._blobs.size(sha)

    @property
    def work_dir(self) -> Path:
        """The folder for the running session's checkpoint; the store never looks inside."""
        path = self._home / "work"
        if self.writable:
            make_folder(path)
        return path

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

        UsageError if the token is taken; StoreCorruptError if a blob it names is not there.
        """
        for sha in (adapter, *_blob_names(concept)):
            self._blobs.size(sha)
        with self._records.read() as txn:
            commit.check_token(txn, concept.token)
            parent = history.load(txn, history.head_id(txn))
        return self._commit(
            parent, "learn", learned=concept, adapter=adapter,
            settings=commit.plain(dict(settings), "settings"),
            metrics=commit.plain(dict(metrics), "metrics"),
            versions=commit.plain(dict(versions), "versions"), seconds=float(seconds),
        )  # fmt: skip

    def commit_rm(self, token: str) -> Session:
        """Commit the removal of a concept. Its session stays: `undo` brings it back whole."""
        with self._records.read() as txn:
            concept = history.find_concept(txn, token, None)
            parent = history.load(txn, history.head_id(txn))
        return self._commit(parent, "rm", removed=concept.id, adapter=parent.adapter)

    def commit_rename(self, old: str, new: str) -> Session:
        """Commit a new token for a concept; its id, rows and blobs stay as they are."""
        with self._records.read() as txn:
            concept = history.find_concept(txn, old, None)
            if new == old:
                raise UsageError(f"{printable(old)} has that token already")
            commit.check_token(txn, new, own=concept.id)
            parent = history.load(txn, history.head_id(txn))
        return self._commit(parent, "rename", renamed=(old, new), adapter=parent.adapter)

    def _commit(self, parent: Session, kind: str, **fields: Any) -> Session:
        self._must_write()
        session = commit.new_session(parent, kind, **fields)
        commit.write_session_file(self._home, session, self._tmp)
        with self._records.write() as txn:
            commit.append(txn, session)
        return self.session(session.id)

    def undo(self) -> Session:
        """Go back one session and return the new head; the session left stays until `gc`."""
        head = self.head
        if head.parent is None:
            raise UsageError("there is nothing to undo: nothing has been learned yet")
        return self.goto(head.parent)

    def goto(self, ref: str) -> Session:
        """Stand at another session and return it; nothing is lost, going forward works too."""
        self._must_write()
        with self._records.write() as txn:
            target = history.resolve(txn, ref)
            if target != history.head_id(txn):
                commit.move_head(txn, target)
        return self.session(target)

    def update_metrics(self, session_id: str, metrics: Mapping[str, Any]) -> None:
        """Replace a session's metrics after measuring again; what it was committed with stays."""
        self._must_write()
        with self._records.write() as txn:
            target = history.resolve(txn, session_id)
            txn.put(Table.METRICS, target.encode(), commit.plain(dict(metrics), "metrics"))

    def _must_write(self) -> None:
        if not self.writable:
            raise UsageError("this store is open for reading only")


def writer(home: Path) -> Holder | None:
    """Say who is writing a store now (pid, host, command, since), or None."""
    return lock_holder(home / "lock")


def _refuse_existing(home: Path) -> None:
    if Store.exists(home):
        raise UsageError(
            f"there is a store in {printable(str(home), 300)} already",
            "use it as it is, or choose another folder with --home",
        )


def _blob_names(concept: NewConcept) -> list[str]:
    names = [context.latents for context in concept.contexts]
    return names + ([concept.reference] if concept.reference else [])


def _make_records(home: Path, base: BaseRef, versions: dict[str, str]) -> None:
    """Lay out the folders, commit session 0, and write the format file last."""
    for name in ("records", "blobs", "sessions", "tmp", "work"):
        make_folder(home / name)
    _refuse_orphaned_records(home)
    info = StoreInfo(SCHEMA, secrets.token_hex(8), commit.now(), base)
    init = commit.new_session(
        None, "init", versions=versions,
        settings={"store": info.id, "schema": SCHEMA, "base": msgspec.to_builtins(base)},
    )  # fmt: skip
    commit.write_session_file(home, init, home / "tmp")
    records = Records.open(home / "records", create=True)
    try:
        with records.write() as txn:
            for table in Table:
                txn.clear(table)
            txn.put(Table.META, _INFO, info)
            commit.append(txn, init)
        with disk_errors("making the records in", home):
            fsync_folder(home / "records")
    finally:
        records.close()
    write_format(home, info, home / "tmp")


def _refuse_orphaned_records(home: Path) -> None:
    """Never write over records that hold more than a creation that was cut short."""
    data = home / "records" / "data.mdb"
    if not data.exists():
        return
    try:
        records = Records.open(data.parent)
        try:
            with records.read() as txn:
                learned = txn.count(Table.SESSIONS) > 1
        finally:
            records.close()
    except (StoreCorruptError, ResourceError, NotFoundError, LfsdError):
        learned = any(True for _ in (home / "blobs").rglob("*/*"))
    if learned:
        raise StoreCorruptError(
            f"{printable(str(home), 300)} holds sessions but its {FORMAT_FILE} is missing",
            "put the file back from a backup; nothing was changed",
        )
