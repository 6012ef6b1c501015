"""Durable files: every write, fsync and rename of the store goes through here.

A file appears whole or not at all: written under tmp/, fsynced, renamed, its folder fsynced.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from store.errors import LfsdError, ResourceError, StoreCorruptError, UsageError
from store.text import byte_count, printable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_CHUNK = 1 << 22


@contextmanager
def disk_errors(doing: str, path: Path, size: int = 0) -> Iterator[None]:
    """Turn an OSError into our own error, naming what was being done to which file."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, doing, path, size) from error


def from_os_error(error: OSError, doing: str, path: Path, size: int = 0) -> LfsdError:
    """Map an errno: full disk and memory -> ResourceError, no permission -> UsageError."""
    code = error.errno or 0
    where = printable(str(path), 300)
    reason = error.strerror or str(error)
    if code in _FULL:
        need = f": {_missing(size, free_bytes(path))}" if size else ""
        return ResourceError(
            f"no space left while {doing} {where}{need}; the store is as it was before",
            "free some disk space, then run the same command again",
        )
    if code in _REFUSED:
        verb = "read" if doing in ("reading", "opening") else "write"
        return UsageError(
            f"cannot {verb} {where}: {reason}", f"choose a folder you may {verb} with --home FOLDER"
        )
    if code in (errno.ENOMEM, errno.EMFILE, errno.ENFILE):
        return ResourceError(f"out of memory or file handles while {doing} {where}: {reason}")
    if code in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP):
        return UsageError(f"{doing} {where} failed: {reason}", "choose another folder with --home")
    if code == errno.ENOENT and doing == "making the folder":
        return UsageError(
            f"cannot make the folder {where}: {reason}", "choose another folder with --home FOLDER"
        )
    if code == errno.ENOENT:
        return StoreCorruptError(f"{where} is missing (while {doing} it)")
    return ResourceError(
        f"the disk failed while {doing} {where}: {reason}", "check the disk, then try again"
    )


def free_bytes(path: Path) -> int:
    """Return the bytes free for us on the file system of `path` or of its nearest parent."""
    for folder in (path, *path.parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


def require_free(path: Path, size: int, doing: str) -> None:
    """Refuse to start on what the disk has no room for; says how many bytes are missing."""
    free = free_bytes(path)
    if free < size:
        raise ResourceError(
            f"not enough disk space for {doing}: {_missing(size, free)} in "
            f"{printable(str(path), 300)}; nothing was changed",
            "free some disk space, then run the same command again",
        )


def _missing(size: int, free: int) -> str:
    missing = f", {byte_count(size - free)} missing" if free < size else ""
    return f"{byte_count(size)} needed, {byte_count(free)} free{missing}"


def is_file(path: Path) -> bool:
    """Say whether a file is there; UsageError where we may not look (newer pathlibs say no)."""
    with disk_errors("opening", path):
        try:
            return stat.S_ISREG(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def make_folder(path: Path) -> None:
    """Make a folder only its owner may enter, and make its name durable."""
    with disk_errors("making the folder", path):
        if path.is_dir():
            return
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        fsync_folder(path.parent)


def write_file(path: Path, data: bytes, tmp: Path) -> None:
    """Write `path` atomically and durably by way of the folder `tmp` (same file system)."""
    draft = tmp / f"{path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}"
    with disk_errors("writing", path, len(data)):
        try:
            write_new(draft, data)
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        fsync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not be there yet, and fsync it; its name is not durable yet."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view[:_CHUNK]) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_file(path: Path) -> None:
    """Make a file durable that something else has written."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def writable(path: Path) -> bool:
    """Say whether this process may write in a folder."""
    return os.access(path, os.W_OK | os.X_OK)


def sweep(tmp: Path) -> int:
    """Remove drafts that a killed process left; only the holder of the writer lock may call it.

    Returns how many there were.
    """
    removed = 0
    with suppress(OSError):
        for draft in tmp.iterdir():
            with suppress(OSError):
                if draft.is_dir() and not draft.is_symlink():
                    shutil.rmtree(draft)
                else:
                    draft.unlink()
                removed += 1
    return removed


def tree_bytes(path: Path) -> tuple[int, int]:
    """Return how many files there are under a folder and their bytes together."""
    count = size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # a draft may be renamed under our eyes
                size += (Path(folder) / name).lstat().st_size
                count += 1
    return count, size


def stamp() -> str:
    """Name a dated folder: UTC time to the second and a few random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
