"""Checking a store from end to end: every record, every reference, and every blob's bytes."""

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from store import commit, history
from store.collected import FILE, LOST, read_marks
from store.env import Table, Txn, number_key
from store.errors import LfsdError, StoreCorruptError
from store.pages import check_meta_pages, walk
from store.reading import INFO, Reader
from store.records import Alive, Concept, Session, concept_id, replay
from store.schema import FORMAT_FILE, StoreInfo, check_format
from store.store import Store
from store.text import printable


def verify(store: Reader, *, data: bool = False) -> list[str]:
    """Return what is wrong with a store, one line each, the damaged thing named; [] if nothing.

    `data` re-hashes every blob too.
    """
    problems = _records_file(store.home)
    if problems:
        return problems  # LMDB itself could crash on what it finds there
    with store.read() as txn:
        for check in (_info, _sessions, _index):
            problems.extend(_until_error(check(store, txn)))
        problems.extend(_blobs(store, txn, data))
    return problems


def verify_home(home: Path, *, data: bool = False) -> list[str]:
    """Like `verify`, for a store that may be too damaged to be opened; never changes anything.

    Raises what says that there is nothing to check: NotFoundError, SchemaError, UsageError.
    """
    home = home.absolute()
    try:
        check_format(home)
        # Before anything maps it: LMDB itself could crash on what it finds there.
        check_meta_pages(home / "records" / "data.mdb")
        if problems := _records_file(home):
            return problems
        with Store.open(home) as store:
            return verify(store, data=data)
    except StoreCorruptError as error:
        return [error.message]


def _records_file(home: Path) -> list[str]:
    path = home / "records" / "data.mdb"
    return [f"{printable(str(path), 300)}: {problem}" for problem in walk(path)]


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
    for key, _ in txn.items(Table.SESSIONS, Session):
        session = history.committed(txn, key.decode())
        if commit.content_id(session) != session.id:
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
            if commit.read_session_file(file) != session:
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
    learned = {session.concept.id: session.concept for session in line if session.concept}
    for table, entries in expected.items():
        found: dict[bytes, object] = dict(txn.items(table, kinds[table]))
        if table is Table.ALIVE:
            kept = txn.items(Table.ALIVE, Alive)
            found = {key: _without_summary(entry, learned) for key, entry in kept}
        if found != entries:
            yield f"the index {table.value.decode()} does not match the sessions"


def _without_summary(entry: Alive, learned: dict[str, Concept]) -> Alive | None:
    """Strip what a list shows of a concept, if it is what the concept says; else None.

    Its size on disk is left out: that of a blob is checked with the blob.
    """
    told, concept = entry.summary, learned.get(entry.concept)
    if told is not None and concept is not None:
        derived = commit.summarise(concept, lambda _: 0)
        if derived is None or replace(told, bytes=0) != replace(derived, bytes=0):
            return None
    return replace(entry, summary=None)


def _blobs(store: Reader, txn: Txn, data: bool) -> Iterator[str]:
    """Check that every blob a session names is there (and, with `data`, intact).

    What was collected on request may be missing, but nothing that the head needs.
    """
    names: dict[str, None] = {}
    try:
        for key, _ in txn.items(Table.SESSIONS, Session):
            names.update(dict.fromkeys(history.load(txn, key.decode()).blobs()))
        absent = read_marks(store.home)
        head = history.load(txn, history.head_id(txn))
        needed = {head.adapter, *(sha for c in history.concepts(txn, None) for sha in c.blobs())}
    except LfsdError as error:
        if FILE in error.message:
            yield error.message
        return  # else named by the check of the sessions already
    for sha in names:
        if absent.get(sha, "").startswith(LOST) or (sha in absent and sha not in needed):
            if not store.blob_path(sha).exists():
                continue
        try:
            if data or not store.has_blob(sha):
                store.blob(sha)
        except LfsdError as error:
            yield error.message
