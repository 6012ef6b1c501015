"""Everything that can be asked of an open store; nothing here changes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from store import commit, history
from store.blobs import Blobs
from store.collected import explain, read_marks
from store.env import Records, Table, Txn
from store.errors import BaseMismatchError, StoreCorruptError
from store.records import Alive, BaseRef, Concept, Session, Summary, replay
from store.schema import StoreInfo, check_schema
from store.text import printable

if TYPE_CHECKING:
    import numpy as np

INFO = b"store"


class Reader:
    """The reading half of `Store`. Each call reads one snapshot, whatever a writer does beside."""

    def __init__(self, home: Path, records: Records) -> None:
        self._home = home
        self._records = records
        self._closed = False
        self._blobs = Blobs(home / "blobs", home / "tmp")
        with self.read() as txn:
            self._info = txn.need(Table.META, INFO, StoreInfo)
            history.head_id(txn)
        check_schema(self._info.schema, printable(str(home), 300))

    @contextmanager
    def read(self) -> Iterator[Txn]:
        """Open a snapshot of the records (for the store's own modules)."""
        if self._closed:
            raise ValueError("this store has been closed")
        with self._records.read() as txn:
            yield txn

    def copy_records(self, folder: Path, txn: Txn | None = None) -> None:
        """Write the records of a snapshot, or as they are now, to `folder`/data.mdb."""
        if txn is None:
            with self.read() as now:
                self._records.copy(now, folder)
        else:
            self._records.copy(txn, folder)

    @property
    def home(self) -> Path:
        """The store's folder, absolute."""
        return self._home

    @property
    def id(self) -> str:
        """The store's own random id, the same for life."""
        return self._info.id

    @property
    def schema(self) -> int:
        """The schema the store is written in."""
        return self._info.schema

    @property
    def created(self) -> str:
        """When the store was made, ISO-8601 UTC."""
        return self._info.created

    @property
    def base(self) -> BaseRef:
        """The base model this store is pinned to."""
        return self._info.base

    @property
    def head(self) -> Session:
        """The session the store stands at now (read anew each time)."""
        with self.read() as txn:
            return history.load(txn, history.head_id(txn))

    def session(self, ref: str) -> Session:
        """Find a session by number, id, id prefix (4 characters or more), `HEAD` or `HEAD~2`."""
        with self.read() as txn:
            return history.load(txn, history.resolve(txn, ref))

    def sessions(self, at: str | None = None) -> list[Session]:
        """Return the line from the root to a session (the head by default)."""
        with self.read() as txn:
            return history.chain(
                txn, history.head_id(txn) if at is None else history.resolve(txn, at)
            )

    def all_sessions(self) -> list[Session]:
        """Return every session, those off the head's line included, by number then time."""
        with self.read() as txn:
            ids = [session.id for _, session in txn.items(Table.SESSIONS, Session)]
            found = [history.load(txn, session_id) for session_id in ids]
        return sorted(found, key=lambda session: (session.number, session.created, session.id))

    def concepts(self, at: str | None = None) -> list[Concept]:
        """Return the concepts alive at a session (the head by default), in order of learning."""
        with self.read() as txn:
            return history.concepts(txn, at)

    def listing(self, at: str | None = None) -> list[tuple[Alive, Summary]]:
        """Return what a list shows of each concept alive at a session, in order of learning.

        At the head this reads the index alone, not the concepts.
        """
        with self.read() as txn:
            if at is None:
                entries = [entry for _, entry in txn.items(Table.ALIVE, Alive)]
            else:
                line = history.chain(txn, history.resolve(txn, at))
                entries = list(replay(line).values())
            return [(entry, entry.summary or self._summary(txn, entry)) for entry in entries]

    def _summary(self, txn: Txn, entry: Alive) -> Summary:
        concept = txn.need(Table.CONCEPTS, entry.concept.encode(), Concept)

        def size(sha: str) -> int:
            return self._blobs.size(sha) if self.has_blob(sha) else 0

        found = commit.summarise(concept, size)
        if found is None:
            for sha in concept.blobs():
                self.blob_size(sha)  # raises what is wrong with it
        assert found is not None
        return found

    def concept(self, token: str, at: str | None = None) -> Concept:
        """Find the concept a token names; NotFoundError suggests a near miss."""
        with self.read() as txn:
            return history.find_concept(txn, token, at)

    def check_token(self, token: str) -> None:
        """Refuse, before an hour is spent learning it, a token `commit_learn` would refuse."""
        with self.read() as txn:
            commit.check_token(txn, token)

    def check_base(self, base: BaseRef) -> None:
        """Refuse a base other than the one this store is pinned to (by content hash and layout)."""
        mine = self.base
        if (base.sha256, base.layout) != (mine.sha256, mine.layout):
            raise BaseMismatchError(
                f"this store is pinned to the base {printable(mine.id)} ({mine.sha256[:12]}), and "
                f"{printable(base.id)} is another one now ({base.sha256[:12]})",
                "bring that version back (pocket comes with lfsd: install the lfsd of then), "
                "or start another store with --home FOLDER",
            )

    def blob(self, sha: str) -> bytes:
        """Read a blob; StoreCorruptError if its bytes are not those it is named after.

        NotFoundError if it was collected to make room.
        """
        with self._absence_explained(sha):
            return self._blobs.get(sha)

    def tensors(self, sha: str) -> "dict[str, np.ndarray]":
        """Read a safetensors blob, its SHA-256 checked; raises as `blob` does."""
        with self._absence_explained(sha):
            return self._blobs.tensors(sha)

    def thumbnail(self, concept: Concept) -> "np.ndarray | None":
        """Return the small photo kept of a concept, [h,w,3] uint8, or None if none was wanted.

        Raises as `tensors` does; StoreCorruptError if what is kept is no picture.
        """
        if not concept.contexts:
            return None
        sha = concept.contexts[0].latents
        found = self.tensors(sha).get("thumbnail")
        if found is not None and (found.ndim, found.shape[2:], found.dtype.str) != (3, (3,), "|u1"):
            raise StoreCorruptError(f"blob {self._blobs.path(sha)}: its thumbnail is no picture")
        return found

    def blob_path(self, sha: str) -> Path:
        """Return the file a blob is kept in; its content must not be trusted unchecked."""
        return self._blobs.path(sha)

    def blob_size(self, sha: str) -> int:
        """Return the size of a blob in bytes; raises as `blob` does when it is missing."""
        with self._absence_explained(sha):
            return self._blobs.size(sha)

    def has_blob(self, sha: str) -> bool:
        """Say whether a blob is in its place; one that is missing without a reason is damage."""
        if self._blobs.path(sha).is_file():
            return True
        if sha in read_marks(self._home):
            return False
        raise StoreCorruptError(f"blob {printable(str(self._blobs.path(sha)), 300)} is missing")

    @contextmanager
    def _absence_explained(self, sha: str) -> Iterator[None]:
        try:
            yield
        except StoreCorruptError:
            if not self._blobs.path(sha).exists():
                explain(self._home, sha)
            raise
