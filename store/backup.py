"""Backup and restore: the same checked copy, in two directions."""

from pathlib import Path

from store.env import Table
from store.errors import LfsdError, StoreCorruptError, UsageError
from store.files import disk_errors, fsync_folder, stamp
from store.lock import WriterLock
from store.reading import Reader
from store.schema import FORMAT_FILE
from store.snapshot import Copied, copy_store, exchange, partial_copy, refuse_place
from store.store import Store
from store.text import printable
from store.verify import verify_home


def backup(store: Reader, dest: Path) -> Copied:
    """Copy a store as it is at this moment to a new or empty folder, all of it or nothing.

    The copy is itself a store. Needs no lock and may run beside a learning session. UsageError if
    the folder holds something; StoreCorruptError names what is damaged, and then there is no copy.
    """
    dest = dest.absolute()
    refuse_place(dest, store.home)
    with partial_copy(dest) as partial:
        copied = _checked_copy(store, partial)
        _appear(partial, dest)
    return copied


def restore(source: Path, home: Path, *, replace: bool = False) -> tuple[Copied, Path | None]:
    """Check a backup byte by byte, and make a copy of it the store in `home`.

    A store that has learned something is replaced only on request; it is moved aside, never
    deleted: the second value says where to. StoreCorruptError if the backup is damaged.
    """
    source, home = source.absolute(), home.absolute()
    if source == home or home in source.parents:
        raise UsageError(f"{printable(str(source), 300)} is inside the store itself")
    if problems := verify_home(source, data=True):
        raise StoreCorruptError(
            f"the backup is damaged, nothing was changed: {problems[0]}",
            f"see all of it: lfsd store verify --data --home {printable(str(source), 300)}",
        )
    present = Store.exists(home)
    if not present:
        _refuse_other_content(home)
    elif not replace and _has_learned(home):
        raise UsageError(
            f"there is a store in {printable(str(home), 300)} that has learned something",
            "restore to another folder with --home, or move this one aside with --replace",
        )
    with Store.open(source) as store, partial_copy(home) as partial:
        copied = _checked_copy(store, partial)
        if not present:
            _appear(partial, home)
            return copied, None
        lock = WriterLock(home / "lock")
        try:
            aside = home.with_name(f"{home.name}.before-{stamp()}")
            exchange(partial, home, aside)
            return copied, aside
        finally:
            lock.release()


def _checked_copy(store: Reader, partial: Path) -> Copied:
    copied = copy_store(store, partial)
    if problems := verify_home(partial):
        raise StoreCorruptError(f"the copy is damaged: {problems[0]}", "check the disk")
    return copied


def _appear(partial: Path, dest: Path) -> None:
    """The commit point: one rename, onto nothing or onto an empty folder."""
    with disk_errors("writing", dest):
        (dest / "lock").unlink(missing_ok=True)
        partial.replace(dest)
        fsync_folder(dest.parent)


def _has_learned(home: Path) -> bool:
    try:
        with Store.open(home) as store, store.read() as txn:
            return txn.count(Table.SESSIONS) > 1
    except LfsdError:
        return True  # too damaged to say


def _refuse_other_content(home: Path) -> None:
    """Let only what a creation leaves that was cut short be written over: nothing learned."""
    if not home.exists():
        return
    with disk_errors("opening", home):
        names = [entry.name for entry in home.iterdir()]
    if names not in ([], ["lock"]):
        raise UsageError(
            f"{printable(str(home), 300)} is not empty and has no {FORMAT_FILE}",
            "restore to another folder with --home",
        )
