"""Every LMDB failure as one of our own errors."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from store.errors import LfsdError, ResourceError, StoreBusyError, StoreCorruptError, UsageError
from store.files import free_bytes, from_os_error
from store.text import byte_count, printable

_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENOMEM, errno.EMFILE, errno.ENFILE,
}  # fmt: skip


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
