"""Making a session: checks, its id, its file, and the one transaction that makes it true."""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from store.codec import encode, seal, unseal
from store.env import Table, Txn, number_key
from store.errors import LfsdError, StoreBusyError, StoreCorruptError, UsageError
from store.files import make_folder, write_file
from store.history import HEAD, alive_entry, chain, head_id
from store.records import (
    Alive,
    Concept,
    Kind,
    NewConcept,
    Session,
    Summary,
    concept_id,
    fold,
    replay,
)
from store.text import printable

T = TypeVar("T")
Size = Callable[[str], int]  # of a blob, in bytes
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


def now() -> str:
    """Return the time as ISO-8601 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_token(txn: Txn, token: str, own: str | None = None) -> None:
    """Refuse a token that is not one word of the grammar, or that another concept holds."""
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"{printable(token)!r} cannot be a token",
            "use a letter, then up to 31 letters, digits, - or _ (for example V1)",
        )
    holder = alive_entry(txn, token)
    if holder is not None and holder.concept != own:
        raise UsageError(
            f"the token {holder.token} is taken",
            f"use another token, or: lfsd rename {holder.token} NEW, lfsd rm {holder.token}",
        )


def plain(value: object, kind: type[T], what: str) -> T:
    """Bring data to the form it will be read back in; TypeError if it is not JSON-able."""
    try:
        return msgspec.msgpack.decode(encode(value), type=kind)
    except (TypeError, OverflowError, msgspec.ValidationError) as error:
        raise TypeError(f"{what} must be JSON-able: {error}") from error


def new_session(
    parent: Session | None, kind: Kind, *, learned: NewConcept | None = None, **fields: Any
) -> Session:
    """Build a session whose id is the hash of its content, its parent's id included.

    So the id of the head vouches for the whole history behind it. A concept handed in as
    `learned` gets its id from the session's.
    """
    created = now()
    concept = None
    if learned is not None:
        given = {name: getattr(learned, name) for name in learned.__struct_fields__}
        concept = Concept(id="", session="", created=created, **given)
    session = Session(
        id="", number=0 if parent is None else parent.number + 1,
        parent=None if parent is None else parent.id,
        created=created, kind=kind, concept=concept, **fields,
    )  # fmt: skip
    # What goes in is what comes out: lists become tuples here, not at the next reading.
    session = plain(session, Session, "the session")
    return with_id(session, content_id(session))


def content_id(session: Session) -> str:
    """Hash a session's content, leaving out the ids that are made from the hash."""
    return "s" + hashlib.sha256(encode(with_id(session, ""))).hexdigest()[:31]


def with_id(session: Session, name: str) -> Session:
    """Give a session, and the concept it learned, their ids."""
    concept = session.concept
    if concept is not None:
        concept = replace(concept, id=concept_id(name) if name else "", session=name)
    return replace(session, id=name, concept=concept)


def session_path(home: Path, session_id: str) -> Path:
    """Say where the self-describing copy of a session is kept."""
    return home / "sessions" / f"{session_id}.session"


def write_session_file(home: Path, session: Session, tmp: Path) -> None:
    """Keep the session outside the records too, so that they can be rebuilt from files alone."""
    path = session_path(home, session.id)
    make_folder(path.parent)
    make_folder(tmp)
    write_file(path, session_bytes(session), tmp)


def session_bytes(session: Session) -> bytes:
    """Encode a session, its concept within it, as its file holds it."""
    return seal(b"session/" + session.id.encode(), session)


def read_session_file(path: Path) -> Session:
    """Read what `write_session_file` wrote; StoreCorruptError names the file."""
    try:
        session = unseal(b"session/" + path.stem.encode(), path.read_bytes(), Session)
    except StoreCorruptError as error:
        raise StoreCorruptError(f"{printable(str(path), 300)}: {error.message}") from error
    if session.id != path.stem or content_id(session) != session.id:
        raise StoreCorruptError(f"{printable(str(path), 300)} does not hold the session it names")
    return session


def append(txn: Txn, session: Session, size: Size) -> None:
    """Put a session at the head: its records, the index and the head, all in this transaction."""
    if session.parent is not None and head_id(txn) != session.parent:
        raise StoreBusyError("the store has moved on while this session was being committed")
    put_session(txn, session)
    if session.kind == "learn":
        assert session.concept is not None
        concept = session.concept
        _put_alive(txn, Alive(concept.id, concept.token, session.number, summarise(concept, size)))
    elif session.kind == "rm":
        _drop_alive(txn, _alive_by_id(txn, session.removed or ""))
    elif session.kind == "rename":
        old, new = session.renamed or ("", "")
        entry = alive_entry(txn, old)
        assert entry is not None
        _drop_alive(txn, entry)
        _put_alive(txn, replace(entry, token=new))
    txn.put(Table.LINE, number_key(session.number), session.id)
    txn.put(Table.META, HEAD, session.id)


def put_session(txn: Txn, session: Session) -> None:
    """Write a session's records, its concept beside it (`log` needs no embedding rows)."""
    if session.concept is not None:
        txn.put(Table.CONCEPTS, session.concept.id.encode(), session.concept)
    txn.put(Table.SESSIONS, session.id.encode(), replace(session, concept=None))


def drop_session(txn: Txn, session: Session) -> None:
    """Remove a session off the head's line, and its concept; its file and blobs stay."""
    txn.delete(Table.SESSIONS, session.id.encode())
    txn.delete(Table.METRICS, session.id.encode())
    txn.delete(Table.META, left_key(session.id))
    if session.concept is not None:
        txn.delete(Table.CONCEPTS, session.concept.id.encode())


def left_key(session_id: str) -> bytes:
    """Name the record that says when a session was last left behind by the head."""
    return b"left/" + session_id.encode()


def summarise(concept: Concept, size: Size) -> Summary | None:
    """Tell what a list shows of a concept; None if the sizes of its blobs cannot be had."""
    try:
        blobs = sum(size(sha) for sha in concept.blobs())
    except LfsdError:
        return None
    rows = sum(len(row.data) for row in concept.rows)
    return Summary(
        concept.class_noun, len(concept.photos), len(concept.contexts), rows + blobs,
        concept.created,
    )  # fmt: skip


def move_head(txn: Txn, session_id: str, size: Size) -> None:
    """Stand at another session: the index is rebuilt by replay, no session is touched."""
    line = chain(txn, session_id)
    summaries = {entry.concept: entry.summary for _, entry in txn.items(Table.ALIVE, Alive)}
    learned = {session.concept.id: session.concept for session in line if session.concept}
    before = {name for _, name in txn.items(Table.LINE, str)}
    after = {session.id for session in line}
    for name in before - after:
        txn.put(Table.META, left_key(name), now())
    for name in after - before:
        txn.delete(Table.META, left_key(name))
    for table in (Table.LINE, Table.ALIVE, Table.TOKENS):
        txn.clear(table)
    for session in line:
        txn.put(Table.LINE, number_key(session.number), session.id)
    for entry in replay(line).values():
        known = summaries.get(entry.concept) or summarise(learned[entry.concept], size)
        _put_alive(txn, replace(entry, summary=known))
    txn.put(Table.META, HEAD, session_id)


def _put_alive(txn: Txn, entry: Alive) -> None:
    txn.put(Table.ALIVE, number_key(entry.number), entry)
    txn.put(Table.TOKENS, fold(entry.token).encode(), entry.number)


def _drop_alive(txn: Txn, entry: Alive) -> None:
    txn.delete(Table.ALIVE, number_key(entry.number))
    txn.delete(Table.TOKENS, fold(entry.token).encode())


def _alive_by_id(txn: Txn, concept: str) -> Alive:
    session = txn.need(Table.CONCEPTS, concept.encode(), Concept).session
    number = txn.need(Table.SESSIONS, session.encode(), Session).number
    return txn.need(Table.ALIVE, number_key(number), Alive)
