"""The LMDB environment: tables, checked reads, and the one kind of write transaction.

LMDB's own files carry no page checksums, so every value carries its own (`codec`). LMDB forbids
opening one environment twice in a process, so stores on the same files share one `Records`.
"""

import errno
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from store.codec import seal, unseal
from store.errors import LfsdError, ResourceError, StoreBusyError, StoreCorruptError, UsageError
from store.files import disk_errors, free_bytes, from_os_error, writable
from store.text import byte_count, printable

T = TypeVar("T")

# Sparse: the file is as long as its pages, the map only has to be larger than it will ever be.
MAP_BYTES = (64 << 30, 4 << 30, 512 << 20)
MAX_READERS = 1024

_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENOMEM, errno.EMFILE, errno.ENFILE,
}  # fmt: skip


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
        return None if value is None else unseal(_place(table, key), value, kind)

    def need(self, table: Table, key: bytes, kind: type[T]) -> T:
        """Read one record that something else refers to; StoreCorruptError when it is missing."""
        record = self.get(table, key, kind)
        if record is None:
            name = printable(_place(table, key).decode("utf-8", "backslashreplace"))
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
                yield key, unseal(_place(table, key), value, kind)

    def count(self, table: Table) -> int:
        """Return the number of records in a table."""
        return int(self._txn.stat(self._tables[table])["entries"])

    def put(self, table: Table, key: bytes, record: object) -> None:
        """Write one record."""
        self._txn.put(key, seal(_place(table, key), record), db=self._tables[table])

    def delete(self, table: Table, key: bytes) -> None:
        """Remove one record if it is there."""
        self._txn.delete(key, db=self._tables[table])

    def clear(self, table: Table) -> None:
        """Remove every record of a table."""
        self._txn.drop(self._tables[table], delete=False)


def _place(table: Table, key: bytes) -> bytes:
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
        self._env: Any = None
        self._tables: dict[Table, Any] = {}
        self._connect()

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> "Records":
        """Open the environment in `folder`; release it with `close`."""
        with cls._guard:
            cls._forget_parents()
            if not create:
                check_meta_pages(folder / "data.mdb")
            known = cls._open.get(_identity(folder))
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
            self._env = _map(self._folder, readonly)
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
            txn = self._env.begin()
            try:
                yield Txn(txn, self._tables)
            finally:
                txn.abort()

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

    def _reconnect(self) -> None:
        # LMDB refuses everything after a failed write of its meta page until it is opened anew.
        with self._guard:
            self._env.close()
            self._connect()


def _map(folder: Path, readonly: bool) -> Any:
    for size in MAP_BYTES:
        try:
            return lmdb.open(
                str(folder), map_size=size, max_dbs=len(Table), mode=0o600, create=False,
                max_readers=MAX_READERS, readonly=readonly, lock=not readonly,
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


def check_meta_pages(path: Path) -> None:
    """Refuse a records file that would crash LMDB on being mapped: truncated, or no LMDB file.

    LMDB maps the file and follows its meta page; a page behind the end of the file is a SIGBUS.
    """
    with disk_errors("opening", path):
        with path.open("rb") as file:
            head = file.read(1 << 17)
            # After the read: a writer beside us lengthens the file before it says so in the head.
            size = os.fstat(file.fileno()).st_size
    shown = printable(str(path), 300)
    pages = _last_pages(head)
    if not pages:
        raise StoreCorruptError(f"{shown} is not a records file: its first pages cannot be read")
    page_size, last = pages
    if size < (last + 1) * page_size:
        raise StoreCorruptError(
            f"{shown} is truncated: {byte_count(size)} of {byte_count((last + 1) * page_size)}"
        )


def _last_pages(head: bytes) -> tuple[int, int] | None:
    """Read (page size, last page number) from the newer of the two meta pages (LMDB 0.9)."""

    def meta(offset: int) -> tuple[int, int, int] | None:
        # Page header 16 bytes; magic, version, address, map size; two 48-byte trees, the first
        # word of the first is the page size; last page number, transaction number.
        try:
            magic, version = struct.unpack_from("=II", head, offset + 16)
            (page_size,) = struct.unpack_from("=I", head, offset + 40)
            last, txn = struct.unpack_from("=QQ", head, offset + 136)
        except struct.error:
            return None
        plausible = magic == 0xBEEFC0DE and version == 1 and 256 <= page_size <= 1 << 15
        return (txn, page_size, last) if plausible and not page_size & (page_size - 1) else None

    first = meta(0)
    second = meta(first[1]) if first else None
    if first is None or second is None or first[1] != second[1]:
        return None
    _, page_size, last = max(first, second)
    return page_size, last


@contextmanager
def lmdb_errors(folder: Path) -> Iterator[None]:
    """Turn every LMDB failure into our own error."""
    try:
        yield
    except lmdb.Error as error:
        raise _from_lmdb(error, folder) from error
    except OSError as error:
        raise from_os_error(error, "reading the records in", folder) from error


def _from_lmdb(error: Any, folder: Path) -> LfsdError:
    where = printable(str(folder), 300)
    if isinstance(error, lmdb.ReadersFullError):
        return StoreBusyError(f"{where}: too many processes are reading this store")
    if isinstance(error, lmdb.ReadonlyError):
        return UsageError(f"cannot write {where}: it is read-only")
    if isinstance(error, (lmdb.MapFullError, lmdb.TxnFullError, lmdb.MapResizedError)):
        return ResourceError(f"the records in {where} no longer fit into their map")
    if isinstance(error, lmdb.MemoryError):
        return ResourceError(f"out of memory while reading the records in {where}")
    code = errno.EIO if isinstance(error, lmdb.DiskError) else getattr(error, "code", 0)
    if code == errno.EIO:
        # LMDB reports a write that a full disk cut short as an I/O error: it may be either.
        free = byte_count(free_bytes(folder))
        return ResourceError(
            f"the disk is full or failing ({free} free): the records in {where} could not be "
            "read or written; the store is as it was before",
            "free some disk space, then run the same command again; else check the disk",
        )
    if code in _DISK:
        return from_os_error(OSError(code, os.strerror(code)), "using the records in", folder)
    return StoreCorruptError(f"the records in {where} are damaged: {error}")
