"""A copy of a whole store as it was at one moment: checked while it is made, renamed when whole."""

import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from store import commit, history
from store.collected import FILE as MARKS
from store.collected import read_marks
from store.env import Table
from store.errors import StoreCorruptError, UsageError
from store.files import disk_errors, fsync_folder, make_folder, require_free, write_file, write_new
from store.lock import WriterLock
from store.reading import Reader
from store.records import Session
from store.schema import FORMAT_FILE
from store.text import printable

_CHUNK = 1 << 22


class Copied(msgspec.Struct, frozen=True):
    """What went into a copy."""

    sessions: int
    blobs: int
    bytes: int


@contextmanager
def partial_copy(dest: Path) -> Iterator[Path]:
    """Yield a folder beside `dest` to fill; it is removed again on an error.

    StoreBusyError while another process fills it; what a killed one left is cleared.
    """
    folder = dest.with_name(f".{dest.name}.partial")
    make_folder(folder)
    lock = WriterLock(folder / "lock")
    try:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()
        yield folder
    except BaseException:
        with suppress(OSError):
            if folder.exists():
                shutil.rmtree(folder)
        raise
    finally:
        lock.release()


def copy_store(store: Reader, folder: Path) -> Copied:
    """Fill a folder with everything one snapshot of `store` names; every blob is hashed on its way.

    Not copied: drafts, the running session's checkpoint, the trash. StoreCorruptError names what is
    damaged or missing; ResourceError says before anything is written how many bytes are missing.
    """
    home = store.home
    make_folder(folder / "records")
    with store.read() as txn:
        ids = [session.id for _, session in txn.items(Table.SESSIONS, Session)]
        sessions = [history.committed(txn, session_id) for session_id in ids]
        marks = read_marks(home)
        names = dict.fromkeys(sha for session in sessions for sha in session.blobs())
        found = {sha: path for sha in names if (path := _find(store, sha, marks)) is not None}
        size = sum(path.stat().st_size for path in found.values())
        records = (home / "records" / "data.mdb").stat().st_size
        require_free(folder, size + 2 * records, "a copy of the store")
        store.copy_records(folder / "records", txn)
    for name in ("sessions", "blobs", "tmp"):
        make_folder(folder / name)
    for session in sessions:
        # From the record, not from the file beside it, which may itself be damaged.
        target = commit.session_path(folder, session.id)
        with disk_errors("writing", target):
            write_new(target, commit.session_bytes(session))
    for sha, path in found.items():
        _copy_blob(path, sha, folder)
    for parent in {sha[:2] for sha in found}:
        with disk_errors("writing", folder):
            fsync_folder(folder / "blobs" / parent)
    for name in (MARKS, FORMAT_FILE):
        if (home / name).exists():
            with disk_errors("reading", home / name):
                content = (home / name).read_bytes()
            write_file(folder / name, content, folder / "tmp")
    with disk_errors("writing", folder):
        for name in ("sessions", "blobs"):
            fsync_folder(folder / name)
        fsync_folder(folder)
    return Copied(len(sessions), len(found), size)


def _find(store: Reader, sha: str, marks: dict[str, str]) -> Path | None:
    """Say where a blob is: a collection beside us may have moved it to the trash just now."""
    path = store.blob_path(sha)
    if path.is_file():
        return path
    for kept in sorted(store.home.glob(f"trash/*/blobs/{sha}")):
        if sha not in marks:
            return kept
    if sha in marks:
        return None
    raise StoreCorruptError(f"blob {printable(str(path), 300)} is missing")


def _copy_blob(source: Path, sha: str, folder: Path) -> None:
    target = folder / "blobs" / sha[:2] / sha
    make_folder(target.parent)
    digest = hashlib.sha256()
    with disk_errors("copying to", target, source.stat().st_size), source.open("rb") as file:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
    if digest.hexdigest() != sha:
        raise StoreCorruptError(
            f"blob {printable(str(source), 300)} is damaged: its bytes do not match its name",
            "see what can be done: lfsd store repair --dry-run",
        )


def refuse_place(dest: Path, home: Path) -> None:
    """Refuse a destination that holds something, or that lies inside the store."""
    shown = printable(str(dest), 300)
    if dest == home or home in dest.parents:
        raise UsageError(f"{shown} is inside the store", "choose a folder elsewhere")
    with disk_errors("opening", dest):
        if dest.is_symlink() or (dest.exists() and not dest.is_dir()):
            raise UsageError(f"{shown} is no folder", "choose a new or an empty folder")
        if dest.is_dir() and any(dest.iterdir()):
            raise UsageError(f"{shown} is not empty", "choose a new or an empty folder")


def exchange(partial: Path, home: Path, aside: Path) -> None:
    """Put a finished copy in the place of the store in `home`, which becomes `aside`."""
    with disk_errors("writing", home):
        partial.replace(aside)
        if not _swap(aside, home):
            # Without an exchange in the kernel there is a moment with no store in `home`.
            waiting = home.with_name(f"{aside.name}.old")
            home.replace(waiting)
            aside.replace(home)
            waiting.replace(aside)
        fsync_folder(home.parent)


def _swap(one: Path, other: Path) -> bool:
    """Exchange two names in one step (Linux); False where that cannot be done."""
    if not sys.platform.startswith("linux"):
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    here, exchange = -100, 2
    if function(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):  # this file system, this kernel
        return False
    raise OSError(code, os.strerror(code))
