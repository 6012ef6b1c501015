"""The JSON documents of the read-only commands, built from store records; schema 1."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.records import Alive, Concept, Session, Summary
    from store.store import Store

SCHEMA = 1


def concept_bytes(store: "Store", concept: "Concept") -> int:
    """What a concept takes on disk beside the shared adapter: rows, contexts, photo embeddings."""
    rows = sum(len(row.data) for row in concept.rows)
    return rows + sum(store.blob_size(sha) for sha in concept.blobs())


def concept_row(store: "Store", concept: "Concept", numbers: dict[str, int]) -> dict[str, object]:
    """What `lfsd ls` says of a concept; `numbers` maps session ids to their numbers."""
    return {
        "token": concept.token,
        "class": concept.class_noun,
        "session": numbers.get(concept.session, concept.session),
        "photos": len(concept.photos),
        "contexts": len(concept.contexts),
        "bytes": concept_bytes(store, concept),
        "created": concept.created,
    }


def listed_row(entry: "Alive", summary: "Summary") -> dict[str, object]:
    """`concept_row` of a concept from the index alone."""
    return {
        "token": entry.token,
        "class": summary.class_noun,
        "session": entry.number,
        "photos": summary.photos,
        "contexts": summary.contexts,
        "bytes": summary.bytes,
        "created": summary.created,
    }


def concept_detail(
    store: "Store", concept: "Concept", learned: "Session", numbers: dict[str, int]
) -> dict[str, object]:
    """The whole of `lfsd show`."""
    return {
        **concept_row(store, concept, numbers),
        "id": concept.id,
        "session_id": concept.session,
        "photo_files": [
            {"name": p.name, "sha256": p.sha256, "caption": p.caption} for p in concept.photos
        ],
        "refused": [{"file": r.file, "reason": r.reason} for r in concept.refused],
        "context_photos": [concept.photos[c.photo_index].name for c in concept.contexts],
        "embedding_rows": len(concept.rows),
        "settings": learned.settings,
        "learned_as": learned.concept.token if learned.concept else concept.token,
        "metrics": learned.metrics,
        "versions": learned.versions,
        "seconds": learned.seconds,
        "adapter_sha256": learned.adapter,
    }


def session_row(store: "Store", session: "Session") -> dict[str, object]:
    """One entry of `lfsd log`."""
    concept = session.concept
    return {
        "id": session.id,
        "number": session.number,
        "parent": session.parent,
        "kind": session.kind,
        "created": session.created,
        "change": change_text(store, session),
        "token": concept.token if concept else None,
        "class": concept.class_noun if concept else None,
        "removed": session.removed,
        "renamed": list(session.renamed) if session.renamed else None,
        "seconds": session.seconds,
        "adapter_sha256": session.adapter,
        "metrics": session.metrics,
    }


def learned_session(session: "Session") -> dict[str, object]:
    """The `session` object that `lfsd learn` prints."""
    concept = session.concept
    assert concept is not None
    return {
        "id": session.id,
        "number": session.number,
        "token": concept.token,
        "class": concept.class_noun,
        "photos_used": len(concept.photos),
        "photos_refused": [{"file": r.file, "reason": r.reason} for r in concept.refused],
        "steps": session.settings.get("steps"),
        "seconds": round(session.seconds, 2),
        "contexts": len(concept.contexts),
        "adapter_sha256": session.adapter,
        "metrics": session.metrics,
    }


def change_text(store: "Store", session: "Session") -> str:
    """What a session changed, in words."""
    if session.kind == "learn" and session.concept is not None:
        return f"learned {session.concept.token} ({session.concept.class_noun})"
    if session.kind == "rm":
        before = store.concepts(session.parent)
        gone = next((c for c in before if c.id == session.removed), None)
        return f"removed {gone.token} ({gone.class_noun})" if gone else "removed a concept"
    if session.kind == "rename" and session.renamed:
        return f"renamed {session.renamed[0]} to {session.renamed[1]}"
    return "the base model, nothing learned"


def local_time(iso: str) -> str:
    """An ISO-8601 UTC time as local `2026-11-23 14:05`."""
    from datetime import datetime

    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")


def figures(metrics: dict[str, Any], token: str, class_noun: str) -> list[tuple[str, str]]:
    """The few figures of a session's quick check that concern one concept, named in words.

    `token` is the concept's name when it was learned, which a later rename does not change there.
    """
    loss, rcf = metrics.get("loss", {}), metrics.get("rcf", {}).get(class_noun, {})
    found = {
        "fidelity to the photos": metrics.get("fidelity", {}).get(token),
        "follows the text": metrics.get("text_alignment", {}).get(token),
        "right scene": metrics.get("scene_accuracy", {}).get(token),
        f"plain {class_noun}: drift": rcf.get("drift"),
        f"plain {class_noun}: toward it": rcf.get("toward"),
        "loss on the photos": loss.get("dm"),
        "loss of distillation": loss.get("kd"),
    }
    return [(name, f"{value:.3f}") for name, value in found.items() if value is not None]
