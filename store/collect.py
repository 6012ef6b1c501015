"""Making room: what no kept session needs goes to the trash, and from there back or away.

A session is *kept* while it is on the head's line (its last N sessions, if a number is given), or
younger than the grace period, or the parent of one that is. A blob is *needed* if a kept session
has it as its adapter, or if a concept alive there names it. The head is always kept.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from store import commit, history
from store.codec import seal
from store.collected import LOST, read_marks, write_marks
from store.env import Table, Txn
from store.errors import UsageError
from store.files import disk_errors, fsync_folder, make_folder, stamp, tree_bytes, write_file
from store.records import Session
from store.store import Store

GRACE = timedelta(days=14)
MANIFEST = "manifest"


class Manifest(msgspec.Struct, frozen=True):
    """What a trash folder was filled with; metrics measured after the commit are only here."""

    created: str
    sessions: list[str]
    blobs: list[str]
    metrics: dict[str, dict[str, object]]


class Collection(msgspec.Struct, frozen=True):
    """What a collection takes away, or would."""

    sessions: list[Session]
    orphans: list[str]
    thinned: list[int]
    blobs: list[str]
    bytes: int
    emptied: list[str]
    emptied_bytes: int
    trash: str | None = None


def collect(
    store: Store,
    *,
    keep_sessions: int | None = None,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    empty: bool = False,
) -> Collection:
    """Move what is not needed to the trash, and delete what lay there for more than 14 days.

    A shorter grace period moves more, but shortens no stay in the trash; `empty` deletes all that
    lay there before. UsageError for fewer than one session to keep.
    """
    if keep_sessions is not None and keep_sessions < 1:
        raise UsageError("at least one session must be kept: the one the store stands at")
    now = datetime.now(UTC)
    latest = now - grace
    with store.read() as txn:
        found, marks, metrics = _plan(store, txn, keep_sessions, latest)
    old = [
        folder for folder in trash_folders(store.home)
        if empty or _made(folder) < now - max(grace, GRACE)
    ]  # fmt: skip
    found = msgspec.structs.replace(
        found,
        emptied=[folder.name for folder in old],
        emptied_bytes=sum(tree_bytes(folder)[1] for folder in old),
    )
    if dry_run:
        return found
    if found.sessions or found.orphans or found.blobs:
        folder = _take_away(store, found, marks, metrics)
        found = msgspec.structs.replace(found, trash=str(folder))
    for folder in old:
        # Out of the trash in one step: half a folder would be taken for a whole one.
        doomed = store.draft_folder("trash")
        with disk_errors("emptying", folder):
            folder.replace(doomed / folder.name)
            shutil.rmtree(doomed)
    return found


def _plan(
    store: Store, txn: Txn, keep: int | None, latest: datetime
) -> tuple[Collection, dict[str, str], dict[str, dict[str, object]]]:
    line = history.chain(txn, history.head_id(txn))
    on_line = {session.id for session in line}
    every = [history.load(txn, key.decode()) for key, _ in txn.items(Table.SESSIONS, Session)]
    kept = {s.id for s in (line if keep is None else line[-keep:])}
    kept |= {s.id for s in every if _since(txn, s) > latest}
    by_id = {session.id: session for session in every}
    going = _off_the_line(by_id, on_line, kept)
    needed = _needed_on(line, kept)
    for session_id in kept - on_line:
        off = [by_id[session_id]]
        while off[-1].parent is not None:
            off.append(by_id[off[-1].parent])
        needed |= _needed_on(off[::-1], {session_id})
    staying = [session for session in every if session.id not in going]
    named = {sha for session in staying for sha in session.blobs()}
    leaving = {sha for session_id in going for sha in by_id[session_id].blobs()}
    present = _blobs_on_disk(store.home)
    gone = [
        sha for sha, (_, written) in sorted(present.items())
        if sha not in needed and (sha in named or sha in leaving or written < latest)
    ]  # fmt: skip
    marks = {
        sha: why for sha, why in read_marks(store.home).items()
        if sha in named and (sha not in present or why.startswith(LOST))
    }  # fmt: skip
    marks |= {sha: f"collected {commit.now()}" for sha in gone if sha in named}
    metrics = {
        name: found for name in sorted(going)
        if (found := txn.get(Table.METRICS, name.encode(), dict)) is not None
    }  # fmt: skip
    lost = set(gone)
    thinned = [s.number for s in line if s.id not in kept and s.adapter in lost]
    sessions = sorted((by_id[name] for name in going), key=lambda s: (s.number, s.created))
    size = sum(present[sha][0] for sha in gone)
    orphans = _files_without_records(store.home, set(by_id), latest)
    return Collection(sessions, orphans, thinned, gone, size, [], 0), marks, metrics


def _since(txn: Txn, session: Session) -> datetime:
    """When a session last was on the head's line, or was made."""
    left = txn.get(Table.META, commit.left_key(session.id), str)
    return datetime.fromisoformat(max(left or "", session.created))


def _off_the_line(by_id: dict[str, Session], on_line: set[str], kept: set[str]) -> set[str]:
    """Sessions to remove: off the line, not kept, and no parent of one that is."""
    staying = set(on_line)
    for name in kept:
        here: str | None = name
        while here is not None and here not in staying:
            staying.add(here)
            here = by_id[here].parent
    return set(by_id) - staying


def _needed_on(chain: list[Session], kept: set[str]) -> set[str]:
    """Name the blobs that the kept sessions of one chain (root first) need."""
    needed: set[str] = set()
    waiting: dict[str, tuple[str, ...]] = {}  # concepts alive that no kept session has shown yet
    for session in chain:
        if session.concept is not None:
            waiting[session.concept.id] = session.concept.blobs()
        if session.removed is not None:
            waiting.pop(session.removed, None)
        if session.id in kept:
            needed.update(*waiting.values())
            waiting.clear()
            if session.adapter is not None:
                needed.add(session.adapter)
    return needed


def _blobs_on_disk(home: Path) -> dict[str, tuple[int, datetime]]:
    found = {}
    with disk_errors("reading", home / "blobs"):
        for path in (home / "blobs").glob("??/*"):
            stat = path.stat()
            if len(path.name) == 64:
                found[path.name] = (stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))
    return found


def _files_without_records(home: Path, known: set[str], latest: datetime) -> list[str]:
    """Session files of a commit, or of a collection, that a kill cut short."""
    with disk_errors("reading", home / "sessions"):
        return sorted(
            path.stem for path in (home / "sessions").glob("*.session")
            if path.stem not in known
            and datetime.fromtimestamp(path.stat().st_mtime, UTC) < latest
        )  # fmt: skip


def _take_away(
    store: Store,
    found: Collection,
    marks: dict[str, str],
    metrics: dict[str, dict[str, object]],
) -> Path:
    """Say what goes, then let the records forget it, then move the files; in this order.

    The transaction is the commit point. A process killed before it leaves a manifest; after it,
    files that no record needs, which the next collection moves.
    """
    folder = store.home / "trash" / stamp()
    for path in (folder, folder / "blobs", folder / "sessions"):
        make_folder(path)
    ids = [session.id for session in found.sessions]
    manifest = Manifest(commit.now(), ids, found.blobs, metrics)
    make_folder(store.home / "tmp")
    write_file(
        folder / MANIFEST, seal(b"trash/" + folder.name.encode(), manifest), store.home / "tmp"
    )
    write_marks(store.home, marks)

    def forget(txn: Txn) -> None:
        for session in found.sessions:
            commit.drop_session(txn, session)

    store.update(forget)
    with disk_errors("moving to", folder):
        for session_id in [*ids, *found.orphans]:
            file = commit.session_path(store.home, session_id)
            if file.exists():
                file.replace(folder / "sessions" / file.name)
        for sha in found.blobs:
            path = store.blob_path(sha)
            if path.exists():
                path.replace(folder / "blobs" / sha)
        for touched in {store.blob_path(sha).parent for sha in found.blobs}:
            fsync_folder(touched)
        for touched in (folder / "blobs", folder / "sessions", store.home / "sessions"):
            fsync_folder(touched)
    return folder


def trash_folders(home: Path) -> list[Path]:
    """Return the folders of the trash, oldest first."""
    with disk_errors("reading", home / "trash"):
        if not (home / "trash").is_dir():
            return []
        return sorted(path for path in (home / "trash").iterdir() if path.is_dir())


def _made(folder: Path) -> datetime:
    try:
        return datetime.strptime(folder.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)  # not ours: leave it alone
