"""Reading the chain of sessions inside one snapshot: references, as-of, look-ups."""

import difflib
import re
from collections.abc import Iterator

from msgspec.structs import replace

from store.env import Table, Txn, number_key
from store.errors import NotFoundError, StoreCorruptError
from store.records import Alive, Concept, Session, concept_id, fold, replay
from store.text import printable

HEAD = b"head"
_HEAD_REF = re.compile(r"head(?:~(\d*))?", re.IGNORECASE)
_MIN_PREFIX = 4


def head_id(txn: Txn) -> str:
    """Return the id of the session the store stands at."""
    return txn.need(Table.META, HEAD, str)


def load(txn: Txn, session_id: str) -> Session:
    """Read a session with its concept and its newest metrics."""
    session = txn.need(Table.SESSIONS, session_id.encode(), Session)
    if session.id != session_id:
        raise StoreCorruptError(f"session {session_id} is stored under the wrong name")
    metrics = txn.get(Table.METRICS, session_id.encode(), dict)
    concept = None
    if session.kind == "learn":
        concept = txn.need(Table.CONCEPTS, concept_id(session_id).encode(), Concept)
    return replace(
        session, concept=concept, metrics=session.metrics if metrics is None else metrics
    )


def committed(txn: Txn, session_id: str) -> Session:
    """Read a session as it was committed, whatever was measured since."""
    stored = txn.need(Table.SESSIONS, session_id.encode(), Session)
    return replace(load(txn, session_id), metrics=stored.metrics)


def chain(txn: Txn, session_id: str) -> list[Session]:
    """Return the sessions from the root to `session_id`."""
    found = [load(txn, session_id)]
    while found[-1].parent is not None:
        parent = load(txn, found[-1].parent)
        # Also what stops a damaged chain from going round in a circle.
        if parent.number != found[-1].number - 1:
            raise StoreCorruptError(f"session {found[-1].id} does not follow its parent")
        found.append(parent)
    if found[-1].number != 0:
        raise StoreCorruptError(f"session {found[-1].id} has no parent")
    return found[::-1]


def resolve(txn: Txn, ref: str) -> str:
    """Turn what a user types for a session into its id.

    A number counts along the line of the head, then among the sessions off it; else `HEAD`,
    `HEAD~2`, an id, or at least 4 characters of one. NotFoundError lists what exists.
    """
    ref = ref.strip()
    if match := _HEAD_REF.fullmatch(ref):
        back = 0 if match[1] is None else int(match[1] or "1")
        number = txn.need(Table.SESSIONS, head_id(txn).encode(), Session).number - back
        found = txn.get(Table.LINE, number_key(number), str) if number >= 0 else None
        return found if found else _missing(txn, ref)
    if ref.isascii() and ref.isdigit() and len(ref) < 19:
        return _by_number(txn, int(ref), ref)
    if len(ref) < _MIN_PREFIX:
        return _missing(txn, ref)
    prefix = ref.lower().encode("utf-8", "replace")[:200]
    ids = [key.decode() for key, _ in txn.items(Table.SESSIONS, Session, prefix)]
    return ids[0] if len(ids) == 1 else _missing(txn, ref, ids)


def _by_number(txn: Txn, number: int, ref: str) -> str:
    on_line = txn.get(Table.LINE, number_key(number), str)
    if on_line is not None:
        return on_line
    off_line = [s.id for _, s in txn.items(Table.SESSIONS, Session) if s.number == number]
    return off_line[0] if len(off_line) == 1 else _missing(txn, ref, off_line)


def _missing(txn: Txn, ref: str, several: list[str] | None = None) -> str:
    shown = printable(ref)
    if several:
        raise NotFoundError(
            f"{shown!r} names {len(several)} sessions: {', '.join(s[:9] for s in several[:8])}",
            "name one of them by its id",
        )
    last = txn.need(Table.SESSIONS, head_id(txn).encode(), Session).number
    numbers = "only session 0" if last == 0 else f"sessions 0 to {last}"
    raise NotFoundError(f"there is no session {shown!r}: {numbers} exist", "see them: lfsd log")


def concepts(txn: Txn, at: str | None) -> list[Concept]:
    """Return the concepts alive at a session (the head by default), in order of learning."""
    if at is None:
        return [_concept(txn, entry) for _, entry in txn.items(Table.ALIVE, Alive)]
    alive = replay(chain(txn, resolve(txn, at)))
    return [_concept(txn, entry) for entry in alive.values()]


def find_concept(txn: Txn, token: str, at: str | None) -> Concept:
    """Find the concept a token names; NotFoundError suggests a near miss."""
    if at is None:
        entry = alive_entry(txn, token)
        known: Iterator[str] = (alive.token for _, alive in txn.items(Table.ALIVE, Alive))
    else:
        alive = replay(chain(txn, resolve(txn, at)))
        entry = alive.get(fold(token))
        known = (alive.token for alive in alive.values())
    if entry is not None and entry.token == token:
        return _concept(txn, entry)
    raise _unknown(token, entry.token if entry else None, list(known), at)


def alive_entry(txn: Txn, token: str) -> Alive | None:
    """Look up who holds a token at the head, whatever its case."""
    key = fold(token).encode("utf-8", "replace")
    number = txn.get(Table.TOKENS, key, int) if 0 < len(key) < 500 else None
    return None if number is None else txn.need(Table.ALIVE, number_key(number), Alive)


def _concept(txn: Txn, entry: Alive) -> Concept:
    concept = txn.need(Table.CONCEPTS, entry.concept.encode(), Concept)
    return concept if concept.token == entry.token else replace(concept, token=entry.token)


def _unknown(token: str, other_case: str | None, known: list[str], at: str | None) -> NotFoundError:
    near = [other_case] if other_case else difflib.get_close_matches(token, known, n=1, cutoff=0.5)
    when = f" at session {printable(at)}" if at is not None else ""
    message = f"there is no concept {printable(token)!r}{when}"
    if near:
        return NotFoundError(message, f"did you mean {near[0]}?")
    if known:
        listed = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
        return NotFoundError(message, f"concepts here: {listed}")
    return NotFoundError(message, "nothing has been learned yet: lfsd learn PHOTOS --token V1 …")
