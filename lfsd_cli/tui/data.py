"""What the screens show, read from the store and the pictures' folder; no widget, no torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfsd_cli.documents import change_text, concept_detail, local_time
from lfsd_cli.portrait import preview_of
from lfsd_cli.text import clean
from lfsd_cli.trends import Trends, trends

NEWEST = 60


@dataclass(frozen=True)
class ConceptRow:
    """One concept as the lists show it. `then` and `now` are fidelities: when learned, last."""

    id: str
    token: str
    class_noun: str
    session: int
    photos: int
    contexts: int
    created: str
    trend: tuple[float, ...] = ()

    @property
    def then(self) -> float | None:
        """Fidelity as it was just learned."""
        return self.trend[0] if self.trend else None

    @property
    def now(self) -> float | None:
        """Fidelity when it was last measured."""
        return self.trend[-1] if self.trend else None

    @property
    def words(self) -> str:
        """ "V1 cat"."""
        return f"{self.token} {self.class_noun}"


@dataclass(frozen=True)
class SessionRow:
    """One session of the chain; `on_line` ones lead to where the store stands, `learned` is the
    token it taught."""

    id: str
    number: int
    kind: str
    change: str
    created: str
    seconds: float
    on_line: bool
    is_head: bool
    metrics: dict[str, Any]
    settings: dict[str, Any]
    learned: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment; `problem` says why it could not be read."""

    base: str = ""
    concepts: tuple[ConceptRow, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    trends: Trends = field(default_factory=lambda: Trends((), {}))
    busy: str = ""
    problem: str = ""
    missing: bool = False

    def concept(self, token: str | None) -> ConceptRow | None:
        """The concept that has a token."""
        return next((row for row in self.concepts if row.token == token), None)

    @property
    def head(self) -> SessionRow | None:
        """Where the store stands."""
        return next((row for row in self.sessions if row.is_head), None)


@dataclass(frozen=True)
class Shot:
    """A picture of ours on disk, and how it was made."""

    path: Path
    prompt: str
    seed: int
    concepts: tuple[str, ...] = ()
    session: int | None = None
    steps: int | None = None
    guidance: float | None = None
    guidance_fraction: float | None = None
    negative: str = ""
    context: bool = True
    context_strength: float | None = None
    context_blend: float | None = None
    session_id: str = ""

    @property
    def caption(self) -> str:
        """One line under the picture."""
        how = f"seed {self.seed}"
        how += f" · session {self.session}" if self.session is not None else ""
        return how + ("" if self.context else " · no context")


def read(home: Path) -> Snapshot:
    """Read everything the lists need; a failure comes back as a snapshot that names it."""
    from store.errors import LfsdError, NotFoundError

    try:
        return _read(home)
    except NotFoundError as error:
        return Snapshot(problem=clean(error.message), missing=True)
    except LfsdError as error:
        return Snapshot(problem=clean(f"{error.message}\n{error.hint}".strip()))


def _read(home: Path) -> Snapshot:
    from store.store import Store, writer

    with Store.open(home) as store:
        line = store.sessions()
        numbers = {session.id: session.number for session in line}
        found = trends(line)
        concepts = tuple(
            ConceptRow(
                concept.id,
                concept.token,
                clean(concept.class_noun),
                numbers.get(concept.session, 0),
                len(concept.photos),
                len(concept.contexts),
                local_time(concept.created),
                found.of(concept.id),
            )
            for concept in store.concepts()
        )
        head = line[-1].id
        ordered = sorted(store.all_sessions(), key=lambda s: (s.number, s.created), reverse=True)
        sessions = tuple(
            SessionRow(
                session.id,
                session.number,
                session.kind,
                clean(change_text(store, session)),
                local_time(session.created),
                session.seconds,
                session.id in numbers,
                session.id == head,
                session.metrics,
                session.settings,
                session.concept.token if session.concept else "",
            )
            for session in ordered
        )
        base = clean(store.base.id)
    return Snapshot(base, concepts, sessions, found, busy=_holder(writer(home)))


def _holder(holder: dict[str, str | int] | None) -> str:
    """Who else is writing, in words; "" for nobody."""
    if holder is None:
        return ""
    return clean(f"process {holder.get('pid', '?')}: {holder.get('command', 'another program')}")


def detail(home: Path, token: str) -> dict[str, Any]:
    """Everything `lfsd show` says of one concept. LfsdError if it is not there any more."""
    from store.store import Store

    with Store.open(home) as store:
        concept = store.concept(token)
        numbers = {session.id: session.number for session in store.sessions()}
        return concept_detail(store, concept, store.session(concept.session), numbers)


@dataclass(frozen=True)
class Change:
    """What going to another session would change."""

    target: str
    number: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]

    def describe(self) -> str:
        """In words, for the one who has to say yes."""
        lines = [f"The model will be as it was after session {self.number}.", ""]
        if self.lost:
            lines.append(f"No longer known: {', '.join(self.lost)}")
        if self.gained:
            lines.append(f"Known again: {', '.join(self.gained)}")
        if not self.lost and not self.gained:
            lines.append("The same concepts are known, with the weights of that session.")
        return "\n".join([*lines, "", "Nothing is deleted: you can come back the same way."])


def change(home: Path, target: str) -> Change:
    """Compare the concepts known now with those known at another session."""
    from store.store import Store

    with Store.open(home) as store:
        session = store.session(target)
        now = {c.id: f"{c.token} ({clean(c.class_noun)})" for c in store.concepts()}
        then = {c.id: f"{c.token} ({clean(c.class_noun)})" for c in store.concepts(session.id)}
    # By what is shown, so that a rename counts as well.
    lost = tuple(text for key, text in now.items() if then.get(key) != text)
    gained = tuple(text for key, text in then.items() if now.get(key) != text)
    return Change(session.id, session.number, lost, gained)


# ---- pictures ---------------------------------------------------------------------------------
def shots(folder: Path, limit: int = NEWEST) -> list[Shot]:
    """The newest pictures of ours in a folder, newest first; files of others are passed over."""
    from store.errors import LfsdError

    found = []
    for path in _newest(folder):
        try:
            found.append(shot(path))
        except LfsdError:
            continue
        if len(found) == limit:
            break
    return found


def shot(path: Path) -> Shot:
    """Read how a picture was made from the picture itself; LfsdError if it is not ours."""
    from lfsd.errors import LfsdError
    from lfsd.png import read_png

    made = read_png(path)
    session = made.get("session") or {}
    # where no context took part, the recorded blend is 0 and says nothing of what was asked for
    context, seen = made.get("icgen") != "off", bool(made.get("contexts"))
    try:
        return Shot(
            path,
            clean(made.get("prompt", "")),
            int(made["seed"]),
            tuple(str(token) for token in made.get("concepts", ())),
            session.get("number"),
            made.get("steps"),
            made.get("guidance"),
            # what came later than the first pictures: those were guided to the end, nothing blended
            float(made.get("guidance_fraction", 1.0)),
            clean(made.get("negative", "")),
            context,
            float(made.get("context_strength", 1.0)) if seen else None,
            float(made.get("context_blend", 0.0)) if seen else None,
            str(session.get("id", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LfsdError(f"{path} does not say how it was made") from error


def drawn(snapshot: Snapshot, found: list[Shot], home: Path) -> dict[str, Path]:
    """A picture of each concept, where there is one: drawn alone, else a preview of learning."""
    known = {row.id for row in snapshot.sessions}
    chosen: dict[str, Path] = {}
    for each in found:
        if len(each.concepts) == 1 and each.session_id in known:
            chosen.setdefault(each.concepts[0], each.path)
    for row in snapshot.concepts:
        if row.token not in chosen:
            preview = preview_of(home, row.id)
            if preview is not None:
                chosen[row.token] = preview
    return chosen


def _newest(folder: Path) -> list[Path]:
    def made(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(folder.glob("*.png"), key=made, reverse=True)
