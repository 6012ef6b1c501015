"""What the screens show, read from the store in one go; no widget, no torch."""

from dataclasses import dataclass
from pathlib import Path

from lfsd_cli.documents import (
    change_text,
    concept_bytes,
    concept_detail,
    figures,
    local_time,
)
from lfsd_cli.text import clean, human_bytes, human_seconds


@dataclass(frozen=True)
class ConceptRow:
    """A line of the concepts table and the text beside it."""

    token: str
    class_noun: str
    cells: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment."""

    base: str
    concepts: list[ConceptRow]
    sessions: list[tuple[str, ...]]


CONCEPT_COLUMNS = ("token", "class", "session", "photos", "contexts", "size")
SESSION_COLUMNS = ("", "session", "id", "change", "took", "when")


def read(home: Path) -> Snapshot:
    """Read everything the screens need. Raises NotFoundError where there is no store."""
    from store.store import Store

    with Store.open(home) as store:
        sessions = store.sessions()
        numbers = {session.id: session.number for session in sessions}
        concepts = []
        for concept in store.concepts():
            facts = concept_detail(store, concept, store.session(concept.session), numbers)
            cells = (
                concept.token,
                clean(concept.class_noun),
                str(facts["session"]),
                str(len(concept.photos)),
                str(len(concept.contexts)),
                human_bytes(concept_bytes(store, concept)),
            )
            concepts.append(
                ConceptRow(concept.token, clean(concept.class_noun), cells, _detail(facts))
            )
        head = store.head.id
        rows: list[tuple[str, ...]] = [
            (
                "*" if session.id == head else "",
                str(session.number),
                session.id[:10],
                clean(change_text(store, session)),
                human_seconds(session.seconds) if session.seconds else "",
                local_time(session.created),
            )
            for session in reversed(sessions)
        ]
        return Snapshot(store.base.id, concepts, rows)


def _detail(facts: dict[str, object]) -> str:
    photos, contexts = facts["photo_files"], facts["context_photos"]
    metrics, settings = facts["metrics"], facts["settings"]
    assert isinstance(photos, list) and isinstance(contexts, list)
    assert isinstance(metrics, dict) and isinstance(settings, dict)
    lines = [
        f"{facts['token']}: a {clean(facts['class'])}",
        "",
        f"learned   {local_time(str(facts['created']))}",
        f"photos    {', '.join(clean(photo['name']) for photo in photos)}",
        f"contexts  {', '.join(clean(name) for name in contexts)}",
        f"steps     {settings.get('steps', '')}",
    ]
    measured = figures(metrics, str(facts["learned_as"]), str(facts["class"]))
    if measured:
        lines += ["", "measured when it was learned"]
        lines += [f"  {value:>7}  {clean(name)}" for name, value in measured]
    return "\n".join(lines)
