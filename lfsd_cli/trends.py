"""Fidelity over time, from the measurements that sessions were committed with; no model needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.records import Session

_BARS = "▁▂▃▄▅▆▇█"
# Share of a concept's fidelity when learned that it must still have to count as kept, or worn.
KEPT = 0.95
WORN = 0.85


@dataclass(frozen=True)
class Trends:
    """Fidelity of every concept ever learned on a line of sessions.

    `sessions` are the numbers of those that measured anything; `points` maps a concept's id to
    its (session number, fidelity) pairs, oldest first. A session measures only some concepts.
    """

    sessions: tuple[int, ...]
    points: dict[str, tuple[tuple[int, float], ...]]

    def of(self, concept: str) -> tuple[float, ...]:
        """A concept's fidelities, oldest first."""
        return tuple(value for _, value in self.points.get(concept, ()))

    def cell(self, concept: str, session: int) -> float | None:
        """A concept's fidelity as measured by one session."""
        return dict(self.points.get(concept, ())).get(session)


def trends(line: Sequence["Session"]) -> Trends:
    """Collect the stored figures of a line of sessions (root first).

    Figures are stored under the token a concept had then; a replay of the changes says whose
    token that was.
    """
    holder: dict[str, str] = {}
    points: dict[str, list[tuple[int, float]]] = {}
    measured = []
    for session in line:
        _follow(holder, session)
        found = session.metrics.get("fidelity")
        figures = found if isinstance(found, dict) else {}
        for token, value in figures.items():
            if token in holder and isinstance(value, int | float):
                points.setdefault(holder[token], []).append((session.number, float(value)))
        if figures:
            measured.append(session.number)
    return Trends(tuple(measured), {concept: tuple(found) for concept, found in points.items()})


def _follow(holder: dict[str, str], session: "Session") -> None:
    """Bring token -> concept id up to date with a session's change."""
    if session.kind == "learn" and session.concept is not None:
        holder[session.concept.token] = session.concept.id
    elif session.kind == "rename" and session.renamed is not None:
        holder[session.renamed[1]] = holder.pop(session.renamed[0], "")
    elif session.kind == "rm":
        for token in [token for token, concept in holder.items() if concept == session.removed]:
            del holder[token]


def bars(values: Sequence[float], width: int = 8) -> str:
    """The last `width` values as a tiny bar chart, scaled to 0..1: a drop looks like a drop."""
    last = values[-width:]
    return "".join(_BARS[min(7, max(0, int(value * 8)))] for value in last)


def kept_style(now: float | None, then: float | None) -> str:
    """The Rich colour that says how much of `then` is left: green, yellow or red."""
    if now is None or not then:
        return ""
    share = now / then
    return "green" if share >= KEPT else "yellow" if share >= WORN else "red"
