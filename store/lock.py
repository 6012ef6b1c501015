"""The writer lock: one writer at a time, and everyone else is told who it is.

The lock is flock(2) on `home/lock`: the kernel lets go of it when its holder dies, so there is no
stale lock to clean up. The file's content only says who holds it and may be out of date when
nobody does. The file is never removed: that would let two writers lock two different files.
"""

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from store.errors import StoreBusyError, UsageError
from store.files import disk_errors, sweep
from store.text import printable

Holder = dict[str, str | int]


# Asked each time the lock is found taken: True to go on waiting.
Wait = Callable[[StoreBusyError], bool]
_PAUSE = 0.2


class WriterLock:
    """Held from construction until `release()`; StoreBusyError names the holder."""

    def __init__(self, path: Path, wait: Wait | None = None) -> None:
        self._pid = os.getpid()
        with disk_errors("locking", path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(path, wait)
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise
        # A full disk must not stop someone who wants to remove things: the name is a courtesy.
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(_me()).encode(), 0)

    def _take(self, path: Path, wait: Wait | None) -> None:
        while True:
            try:
                return _flock(self._fd, path)
            except StoreBusyError as error:
                # A blocking flock could not be interrupted by the first Ctrl-C.
                if wait is None or not wait(error):
                    raise
                time.sleep(_PAUSE)

    def release(self) -> None:
        """Let go; harmless when done twice."""
        if self._fd < 0:
            return
        if self._pid == os.getpid():  # a forked child has a copy, and the lock is not its own
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = -1

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.release()


def _flock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise _busy(path, _read_holder(fd)) from None
        raise UsageError(
            f"cannot lock {printable(str(path), 300)}: {error.strerror}",
            "keep the store on a local disk: this file system has no file locks",
        ) from error


def lock_holder(path: Path) -> Holder | None:
    """Say who holds the writer lock now, or None; never waits and never takes it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_holder(fd)
    finally:
        os.close(fd)
    return None


def unlock(home: Path) -> tuple[Holder, int]:
    """Clear what a killed writer left: its name in the lock file, and its drafts.

    Returns the name and the number of drafts. StoreBusyError if the writer is alive: its lock is
    the kernel's, and only the end of that process opens it.
    """
    path = home / "lock"
    left: Holder = {}
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        left = _read_holder(fd)
        os.close(fd)
    lock = WriterLock(path)
    try:
        return left, sweep(home / "tmp")
    finally:
        lock.release()


def _me() -> Holder:
    command = " ".join(shlex.quote(part) for part in [Path(sys.argv[0]).name, *sys.argv[1:]])
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": printable(command, 200),
        "since": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _read_holder(fd: int) -> Holder:
    # Empty for the moment between a lock taken and its name written.
    with suppress(OSError, ValueError):
        content = json.loads(os.pread(fd, 4096, 0))
        if isinstance(content, dict):
            return {str(key): value for key, value in content.items()}
    return {}


def _busy(path: Path, holder: Holder) -> StoreBusyError:
    pid = holder.get("pid")
    who = "another process"
    if pid is not None:
        here = " (this same process)" if pid == os.getpid() else ""
        who = (
            f"process {pid}{here} on {printable(str(holder.get('host', '?')))}, since "
            f"{printable(str(holder.get('since', '?')))}: "
            f"{printable(str(holder.get('command', '?')), 200)}"
        )
    return StoreBusyError(
        f"the store {printable(str(path.parent), 300)} is being written by {who}",
        "wait until it has finished (lfsd learn --wait does); ls, show, log and gen work meanwhile",
        holder,
    )
