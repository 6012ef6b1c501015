"""The LMDB environment: tables, checked reads, and the one kind of write transaction.

LMDB's own files carry no page checksums, so every value carries its own (`codec`). LMDB forbids
opening one environment twice in a process, so stores on the same files share one `Records`.
"""

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from store.codec import seal, unseal
from store.env_errors import lmdb_errors
from store.errors import LfsdError, ResourceError, StoreBusyError, StoreCorruptError
from store.files import disk_errors, from_os_error, fsync_file, fsync_folder, writable
from store.pages import check_before_opening, check_meta_pages, lengthen
from store.text import printable

T = TypeVar("T")

# Sparse: the file is as long as its pages, the map only has to be larger than it will ever be.
MAP_BYTES = (64 << 30, 4 << 30, 512 << 20)
MAX_READERS = 1024


class Table(Enum):
    """The tables and what their keys are."""

    META = b"meta"  # name
    SESSIONS = b"sessions"  # session id
    CONCEPTS = b"concepts"  # concept id
    METRICS = b"metrics"  # session id; the one thing about a session that may be rewritten
    LINE = b"line"  # number -> session id, root to head
    ALIVE = b"alive"  # number -> concept alive at the head
    TOKENS = b"tokens"  # folded token -> number in ALIVE


def number_key(number: int) -> bytes:
    """Order numbers as LMDB orders keys."""
    return struct.pack(">Q", number)


class Txn:
    """One transaction: typed, checksummed access to the tables."""

    def __init__(self, txn: Any, tables: dict[Table, Any]) -> None:
        self._txn = txn
        self._tables = tables

    def get(self, table: Table, key: bytes, kind: type[T]) -> T | None:
        """Read one record, or None; StoreCorruptError when it is not what was written."""
        value: bytes | None = self._txn.get(key, db=self._tables[table])
        return None if value is None else unseal(place(table, key), value, kind)

    def need(self, table: Table, key: bytes, kind: type[T]) -> T:
        """Read one record that something else refers to; StoreCorruptError when it is missing."""
        record = self.get(table, key, kind)
        if record is None:
            name = printable(place(table, key).decode("utf-8", "backslashreplace"))
            raise StoreCorruptError(f"record {name} is missing")
        return record

    def items(self, table: Table, kind: type[T], prefix: bytes = b"") -> Iterator[tuple[bytes, T]]:
        """Iterate over the records whose key starts with `prefix`, in key order."""
        with self._txn.cursor(db=self._tables[table]) as cursor:
            if not cursor.set_range(prefix):
                return
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                yield key, unseal(place(table, key), value, kind)

    def count(self, table: Table) -> int:
        """Return the number of records in a table."""
        return int(self._txn.stat(self._tables[table])["entries"])

    def put(self, table: Table, key: bytes, record: object) -> None:
        """Write one record."""
        self._txn.put(key, seal(place(table, key), record), db=self._tables[table])

    def delete(self, table: Table, key: bytes) -> None:
        """Remove one record if it is there."""
        self._txn.delete(key, db=self._tables[table])

    def clear(self, table: Table) -> None:
        """Remove every record of a table."""
        self._txn.drop(self._tables[table], delete=False)


def place(table: Table, key: bytes) -> bytes:
    """Name a record: what its checksum is bound to, and what messages call it."""
    if table in (Table.LINE, Table.ALIVE) and len(key) == 8:
        key = str(struct.unpack(">Q", key)[0]).encode()
    return table.value + b"/" + key


class Records:
    """One open environment, shared by every store of this process on the same files."""

    _open: dict[tuple[int, int, int], "Records"] = {}  # noqa: RUF012 - guarded by _guard
    _guard = threading.RLock()

    def __init__(self, folder: Path, create: bool) -> None:
        self._folder = folder
        self._users = 0
        self._create = create
        self._least_map = 0
        self._env: Any = None
        self._tables: dict[Table, Any] = {}
        self._connect()

    @classmethod
    def open(cls, folder: Path, *, create: bool = False, write: bool = False) -> "Records":
        """Open the environment in `folder`, to `write` only what is sound throughout; release it
        with `close`."""
        with cls._guard:
            cls._forget_parents()
            if not create:
                check_meta_pages(folder / "data.mdb")
            known = cls._open.get(_identity(folder))
            if not create and (known is None or write):
                check_before_opening(folder / "data.mdb", whole=write)
            if known is None:
                known = cls(folder, create)
                cls._open[_identity(folder)] = known
            known._users += 1
            return known

    @classmethod
    def _forget_parents(cls) -> None:
        # After a fork the environments are the parent's; LMDB must open the files anew.
        for key in [key for key in cls._open if key[0] != os.getpid()]:
            cls._open.pop(key)._env.close()

    def close(self) -> None:
        """Give up one use; the last one closes the files."""
        with self._guard:
            self._forget_parents()
            self._users -= 1
            if self._users == 0:
                for key in [k for k, v in self._open.items() if v is self]:
                    del self._open[key]
                self._env.close()

    def _connect(self) -> None:
        data = self._folder / "data.mdb"
        readonly = not self._create and not (writable(self._folder) and os.access(data, os.W_OK))
        with lmdb_errors(self._folder):
            # A folder we may not write in cannot hold LMDB's reader table: nobody can write
            # there under us either, unless another user does, and then the checksums tell.
            self._env = _map(self._folder, readonly, self._least_map)
            if not readonly:
                self._env.reader_check()
            # Not in a transaction of ours: py-lmdb never commits a read, and the handle would die.
            for table in Table:
                self._tables[table] = self._env.open_db(table.value, create=self._create)
        self._create = False

    @contextmanager
    def read(self) -> Iterator[Txn]:
        """Open a snapshot: what is read in it belongs to one moment."""
        with lmdb_errors(self._folder):
            txn = self._begin()
            try:
                yield Txn(txn, self._tables)
            finally:
                txn.abort()

    def _begin(self) -> Any:
        try:
            return self._env.begin()
        except lmdb.MapResizedError:  # another process has made the map larger than ours
            self._grow()
            return self._env.begin()

    def update(self, change: Callable[[Txn], T]) -> T:
        """Run `change` in THE write transaction, again with a larger map if this one is full."""
        while True:
            try:
                with self.write() as txn:
                    result = change(txn)
                last_page = int(self._env.info()["last_pgno"])
                lengthen(self._folder / "data.mdb", last_page + 1)
                return result
            except ResourceError as error:
                if not isinstance(error.__cause__, lmdb.MapFullError):
                    raise
                self._grow()

    @contextmanager
    def write(self) -> Iterator[Txn]:
        """Open THE write transaction: all of it is durable when this returns, or none of it."""
        try:
            with lmdb_errors(self._folder):
                txn = self._env.begin(write=True)
                try:
                    yield Txn(txn, self._tables)
                except BaseException:
                    txn.abort()
                    raise
                txn.commit()
        except LfsdError as error:
            if isinstance(error.__cause__, lmdb.Error):
                self._reconnect()
            raise

    def copy(self, txn: Txn, folder: Path) -> None:
        """Write what a snapshot sees, without free pages, as a new records file in `folder`."""
        path = folder / "data.mdb"
        with lmdb_errors(folder):
            self._env.copy(str(folder), compact=True, txn=txn._txn)
        with disk_errors("writing", path):
            path.chmod(0o600)
            fsync_file(path)
            fsync_folder(folder)

    def replace(self, new: Path) -> None:
        """Put another records file in the place of this one; StoreBusyError while anyone reads.

        Only the holder of the writer lock may call it.
        """
        with self._guard:
            if self._users > 1:
                raise StoreBusyError("the store is open twice in this process")
            self._env.close()
            try:
                with nobody_reads(self._folder):
                    new.replace(self._folder / "data.mdb")
                    fsync_folder(self._folder)
            except OSError as error:
                raise from_os_error(error, "replacing the records in", self._folder) from error
            finally:
                for key in [k for k, v in self._open.items() if v is self]:
                    del self._open[key]
                self._connect()
                self._open[_identity(self._folder)] = self

    def _grow(self) -> None:
        self._least_map = 2 * int(self._env.info()["map_size"])
        self._reconnect()

    def _reconnect(self) -> None:
        # LMDB refuses everything after a failed write of its meta page until it is opened anew.
        with self._guard:
            self._env.close()
            self._connect()


@contextmanager
def nobody_reads(folder: Path) -> Iterator[None]:
    """Keep everyone from opening the records in `folder`; StoreBusyError if someone has.

    Every process that has them open holds LMDB's own lock, shared, on the first byte of its reader
    table. The table is emptied: it counts transactions, and another file counts them anew.
    """
    table = folder / "lock.mdb"
    with disk_errors("opening", table):
        fd = os.open(table, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except OSError:
            raise StoreBusyError(
                f"another process is reading {printable(str(folder), 300)}",
                "close it (lfsd tui?), then run the same command again",
            ) from None
        yield
        with disk_errors("emptying", table):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _map(folder: Path, readonly: bool, least: int) -> Any:
    for size in MAP_BYTES:
        try:
            return lmdb.open(
                str(folder), map_size=max(size, least), max_dbs=len(Table), mode=0o600,
                create=False, max_readers=MAX_READERS, readonly=readonly, lock=not readonly,
            )  # fmt: skip
        except lmdb.Error as error:
            # Where addresses are rationed (ulimit -v) a smaller map serves as well.
            if getattr(error, "code", 0) != errno.ENOMEM or size == MAP_BYTES[-1]:
                raise
    raise AssertionError("no map size")


def _identity(folder: Path) -> tuple[int, int, int]:
    with disk_errors("opening", folder):
        stat = (folder / "data.mdb").stat() if (folder / "data.mdb").exists() else folder.stat()
    return os.getpid(), stat.st_dev, stat.st_ino
