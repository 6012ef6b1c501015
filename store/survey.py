"""What a damaged store still holds, gathered from every copy there is. Nothing is changed here."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from store import commit
from store.collect import trash_folders
from store.collected import read_marks
from store.env import Table
from store.errors import LfsdError, StoreCorruptError
from store.files import disk_errors
from store.history import HEAD
from store.reading import INFO
from store.records import BaseRef, Concept, Session, concept_id
from store.salvage import Salvaged, salvage
from store.schema import StoreInfo
from store.text import printable
from store.trash import manifest_of


class Survey:
    """Everything that reads back intact, and the paths of what does not."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bad_files: list[Path] = []
        self.bad_blobs: list[Path] = []
        self.blobs: set[str] = set()
        self.in_trash: dict[str, Path] = {}
        self.records = salvage(home / "records") if self._has_records() else Salvaged()
        self.from_records = dict(_recorded(self.records))
        self.from_files = self._session_files()
        self.marks, self.marks_damaged = self._marks()
        self._look_at_blobs()
        self.metrics = {
            key.decode("ascii", "replace"): found
            for key, found in self.records.items(Table.METRICS, dict)
        }

    def _has_records(self) -> bool:
        return (self.home / "records" / "data.mdb").is_file()

    def _session_files(self) -> dict[str, Session]:
        found = {}
        for path in sorted((self.home / "sessions").glob("*.session")):
            try:
                with disk_errors("reading", path):
                    session = commit.read_session_file(path)
                found[session.id] = session
            except StoreCorruptError:
                self.bad_files.append(path)
        return found

    def _marks(self) -> tuple[dict[str, str], bool]:
        try:
            return read_marks(self.home), False
        except StoreCorruptError:
            return {}, True

    def _look_at_blobs(self) -> None:
        for path in sorted((self.home / "blobs").glob("??/*")):
            if _hash(path) == path.name:
                self.blobs.add(path.name)
            else:
                self.bad_blobs.append(path)
        for folder in trash_folders(self.home):
            for path in sorted((folder / "blobs").glob("*")):
                self.in_trash[path.name] = path

    def trashed_sessions(self) -> set[str]:
        """Sessions that a collection took away on purpose."""
        gone: set[str] = set()
        for folder in trash_folders(self.home):
            try:
                gone |= set(manifest_of(folder).sessions)
            except LfsdError:
                continue
        return gone

    def usable_in_trash(self, sha: str) -> Path | None:
        """Return an intact copy of a blob in the trash."""
        path = self.in_trash.get(sha)
        return path if path is not None and _hash(path) == sha else None

    def head(self) -> str | None:
        """The session the store stood at, if its record can be read."""
        return self.records.get(Table.META, HEAD, str)

    def info(self, root: Session | None) -> StoreInfo | None:
        """What the store is: from its record, else from the session it began with."""
        found = self.records.get(Table.META, INFO, StoreInfo)
        if found is not None or root is None:
            return found
        try:
            base = msgspec.convert(root.settings["base"], BaseRef)
            return StoreInfo(
                int(root.settings["schema"]), str(root.settings["store"]), root.created, base
            )
        except (KeyError, TypeError, ValueError, msgspec.ValidationError):
            return None


def _recorded(records: Salvaged) -> Iterable[tuple[str, Session]]:
    """Put sessions and their concepts together again; only what hashes to its id counts."""
    for key, session in records.items(Table.SESSIONS, Session):
        name = key.decode("ascii", "replace")
        if session.kind == "learn":
            concept = records.get(Table.CONCEPTS, concept_id(name).encode(), Concept)
            if concept is None:
                records.problems.append(f"the concept of session {printable(name)} is missing")
                continue
            session = replace(session, concept=concept)
        if session.id == name and commit.content_id(session) == name:
            yield name, session
        else:
            records.problems.append(f"session {printable(name)} does not hash to its id")


def _hash(path: Path) -> str:
    with disk_errors("reading", path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
