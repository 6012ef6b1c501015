"""Checking a store from end to end: every record, every reference, and every blob's bytes."""

from collections.abc import Iterator
from pathlib import Path

from lmdb import verify as lmdb_verify
from msgspec.structs import replace

from store import commit, history
from store.env import Table, Txn, number_key
from store.errors import LfsdError
from store.reading import INFO, Reader
from store.records import Alive, Concept, Session, concept_id, replay
from store.schema import FORMAT_FILE, StoreInfo, check_format
from store.text import printable


def verify(store: Reader, *, data: bool = False) -> list[str]:
    """Return what is wrong with a store, one line each, the damaged thing named; [] if nothing.

    `data` re-hashes every blob too. Call it while no writer is at work: the records file is
    walked as it lies on the disk.
    """
    problems = [
        f"{printable(str(store.home / 'records' / 'data.mdb'), 300)}: {problem}"
        for problem in _records_file(store.home / "records")
    ]
    if problems:
        return problems  # LMDB itself could crash on what it finds there
    with store.read() as txn:
        for check in (_info, _sessions, _index):
            problems.extend(_until_error(check(store, txn)))
        problems.extend(_blobs(store, txn, data))
    return problems


def _records_file(folder: Path) -> list[str]:
    try:
        return list(lmdb_verify.verify(str(folder)))
    except (lmdb_verify.VerifyError, OSError) as error:
        return [str(error)]


def _until_error(found: Iterator[str]) -> Iterator[str]:
    try:
        yield from found
    except LfsdError as error:
        yield error.message


def _info(store: Reader, txn: Txn) -> Iterator[str]:
    """Check what the store says of itself against what the format file says to people."""
    info = txn.need(Table.META, INFO, StoreInfo)
    if check_format(store.home) != (info.schema, info.id):
        yield f"{printable(str(store.home / FORMAT_FILE), 300)} belongs to another store"


def _sessions(store: Reader, txn: Txn) -> Iterator[str]:
    """Check each session against its id, its parent, its concept and its file."""
    learned = set()
    for key, stored in txn.items(Table.SESSIONS, Session):
        session = history.load(txn, key.decode())
        if commit.content_id(replace(session, metrics=stored.metrics)) != session.id:
            yield f"session {session.id} does not hash to its id"
        if session.concept is not None:
            learned.add(concept_id(session.id))
        if session.parent is not None:
            parent = txn.need(Table.SESSIONS, session.parent.encode(), Session)
            if parent.number != session.number - 1:
                yield f"session {session.id} does not follow its parent"
        file = commit.session_path(store.home, session.id)
        if not file.is_file():
            yield f"{printable(str(file), 300)} is missing"
        else:
            kept = commit.read_session_file(file)
            if kept != replace(session, metrics=kept.metrics):
                yield f"{printable(str(file), 300)} differs from the record"
    for key, _ in txn.items(Table.CONCEPTS, Concept):
        if key.decode() not in learned:
            yield f"concept {key.decode()} belongs to no session"
    for key, _ in txn.items(Table.METRICS, dict):
        txn.need(Table.SESSIONS, key, Session)


def _index(store: Reader, txn: Txn) -> Iterator[str]:
    """Check that the index of the head is what a replay of its chain gives."""
    line = history.chain(txn, history.head_id(txn))
    alive = replay(line)
    expected = {
        Table.LINE: {number_key(session.number): session.id for session in line},
        Table.ALIVE: {number_key(entry.number): entry for entry in alive.values()},
        Table.TOKENS: {key.encode(): entry.number for key, entry in alive.items()},
    }
    kinds: dict[Table, type] = {Table.LINE: str, Table.ALIVE: Alive, Table.TOKENS: int}
    for table, entries in expected.items():
        if dict(txn.items(table, kinds[table])) != entries:
            yield f"the index {table.value.decode()} does not match the sessions"


def _blobs(store: Reader, txn: Txn, data: bool) -> Iterator[str]:
    """Check that every blob a session names is there (and, with `data`, intact)."""
    names: dict[str, None] = {}
    try:
        for key, _ in txn.items(Table.SESSIONS, Session):
            names.update(dict.fromkeys(history.load(txn, key.decode()).blobs()))
    except LfsdError:
        return  # named by the check of the sessions already
    for sha in names:
        try:
            store.blob(sha) if data else store.blob_size(sha)
        except LfsdError as error:
            yield error.message
