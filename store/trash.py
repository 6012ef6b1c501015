"""Taking a collection back: files first, then the records that name them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from store import commit
from store.codec import unseal
from store.collect import MANIFEST, Manifest, trash_folders
from store.collected import read_marks, write_marks
from store.env import Table, Txn
from store.errors import StoreCorruptError
from store.files import disk_errors, fsync_folder, make_folder
from store.records import Session
from store.store import Store
from store.text import printable


class Restored(msgspec.Struct, frozen=True):
    """What came back, and what could not: one line each."""

    sessions: list[str]
    blobs: int
    left: list[str]


def restore_trash(store: Store) -> Restored:
    """Bring back everything the trash holds; what is damaged there stays there and is named."""
    left: list[str] = []
    sessions: dict[str, Session] = {}
    metrics: dict[str, dict[str, object]] = {}
    folders = trash_folders(store.home)
    for folder in folders:
        for file in sorted((folder / "sessions").glob("*.session")):
            with _named(left):
                session = commit.read_session_file(file)
                sessions[session.id] = session
        with _named(left):
            manifest = manifest_of(folder)
            metrics |= manifest.metrics
            # Where a kill cut the collection short, they never came to the trash.
            for name in manifest.sessions:
                file = commit.session_path(store.home, name)
                if file.exists():
                    sessions[name] = commit.read_session_file(file)
    blobs = sum(_blobs_back(store, folder, left) for folder in folders)
    back = _with_parents(store, sessions, left)
    for folder in folders:
        _files_back(store, folder, {session.id for session in back})
    store.update(lambda txn: _records_back(txn, back, metrics))
    marks = read_marks(store.home)
    write_marks(
        store.home, {sha: why for sha, why in marks.items() if not store.blob_path(sha).exists()}
    )
    for folder in folders:
        _remove_if_empty(folder)
    return Restored([session.id for session in back], blobs, left)


def _blobs_back(store: Store, folder: Path, left: list[str]) -> int:
    """Move intact blobs to their places; an equal one that is there already only leaves here."""
    count = 0
    for path in sorted((folder / "blobs").glob("*")):
        with _named(left), disk_errors("restoring", path):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != path.name:
                raise StoreCorruptError(f"{printable(str(path), 300)} is damaged")
            target = store.blob_path(path.name)
            make_folder(target.parent)
            path.replace(target)
            fsync_folder(target.parent)
            count += 1
    return count


def _with_parents(store: Store, found: dict[str, Session], left: list[str]) -> list[Session]:
    """Order sessions so that each follows its parent; without one it cannot come back."""
    with store.read() as txn:
        there = {key.decode() for key, _ in txn.items(Table.SESSIONS, Session)}
    back = []
    for session in sorted(found.values(), key=lambda s: (s.number, s.id)):
        if session.id in there:
            continue
        if session.parent not in there:
            left.append(f"session {session.id} follows one that is not there")
        else:
            there.add(session.id)
            back.append(session)
    return back


def _files_back(store: Store, folder: Path, ids: set[str]) -> None:
    target = store.home / "sessions"
    with disk_errors("restoring", folder):
        for file in sorted((folder / "sessions").glob("*.session")):
            if file.stem in ids:
                file.replace(target / file.name)
        fsync_folder(target)


def _records_back(txn: Txn, sessions: list[Session], metrics: dict[str, dict[str, object]]) -> None:
    for session in sessions:
        commit.put_session(txn, session)
        # Its time off the line begins anew, or the next collection would take it again.
        txn.put(Table.META, commit.left_key(session.id), commit.now())
        if session.id in metrics:
            txn.put(Table.METRICS, session.id.encode(), metrics[session.id])


def manifest_of(folder: Path) -> Manifest:
    """Read what a trash folder was filled with; StoreCorruptError names a damaged list."""
    path = folder / MANIFEST
    if not path.exists():
        return Manifest("", [], [], {})
    try:
        with disk_errors("reading", path):
            return unseal(b"trash/" + folder.name.encode(), path.read_bytes(), Manifest)
    except StoreCorruptError as error:
        raise StoreCorruptError(f"{printable(str(path), 300)}: {error.message}") from error


def _remove_if_empty(folder: Path) -> None:
    if any(path.is_file() and path.name != MANIFEST for path in folder.rglob("*")):
        return
    with disk_errors("emptying", folder):
        (folder / MANIFEST).unlink(missing_ok=True)
        for path in (folder / "blobs", folder / "sessions", folder):
            if path.is_dir():
                path.rmdir()


@contextmanager
def _named(left: list[str]) -> Iterator[None]:
    """Go on after something that is damaged; a full disk or a refusal ends it all."""
    try:
        yield
    except StoreCorruptError as error:
        left.append(error.message)
