"""The tables of `lfsd report` and of the short check after `lfsd learn`."""

from typing import Any

from lfsd_cli.output import Output
from lfsd_cli.trends import kept_style

# Change of cosine similarity beyond which a class noun counts as drifting toward a concept.
NOTICEABLE = 0.02
LEGEND = (
    "fidelity: how much its pictures look like its photos (1 is the same)",
    "kept: change of fidelity since it was learned; below 0 is forgetting (PCF)",
    "toward: how much plain class pictures moved to a concept's photos; 0 is best (RCF)",
)


def print_report(out: Output, report: dict[str, Any]) -> None:
    """Print a whole measurement: the matrix, the concepts, the class nouns."""
    if not report.get("fidelity"):
        out.note("nothing learned yet, so there is nothing to measure")
        return
    _matrix(out, report["matrix"])
    out.line()
    _concepts(out, report)
    out.line()
    _nouns(out, report)
    out.note()
    for line in LEGEND:
        out.note(line)


def print_quick_check(out: Output, metrics: dict[str, Any]) -> None:
    """Print the forgetting check stored with a session, if it has one."""
    if not metrics.get("fidelity"):
        return
    out.line()
    out.line("Forgetting check (quick; `lfsd report` measures more)")
    _concepts(out, metrics)
    out.line()
    _nouns(out, metrics)


def _matrix(out: Output, matrix: dict[str, Any]) -> None:
    """Fidelity of each concept after each session, coloured by what is left of its best start."""
    tokens, sessions, rows = matrix["concepts"], matrix["sessions"], matrix["fidelity"]
    first = [next((row[c] for row in rows if row[c] is not None), None) for c in range(len(tokens))]

    def style(row: int, column: int) -> str:
        if column == 0:
            return "dim"
        return kept_style(rows[row][column - 1], first[column - 1])

    out.line("Fidelity of each concept after each session")
    out.table(
        ["session", *tokens],
        [
            [number, *(_number(value) for value in row)]
            for number, row in zip(sessions, rows, strict=True)
        ],
        right=tokens,
        styles=style,
    )


def _concepts(out: Output, report: dict[str, Any]) -> None:
    tokens = list(report["fidelity"])
    pcf, aligned = report.get("pcf", {}), report.get("text_alignment", {})
    scenes = report.get("scene_accuracy", {})
    changes = [pcf.get(token, {}).get("change") for token in tokens]
    unknown = ["not known"] * (len(tokens) - 1) + ["just learned"]

    def style(row: int, column: int) -> str:
        if column == 0:
            return "bold cyan"
        now, change = report["fidelity"][tokens[row]], changes[row]
        return kept_style(now, now - change) if column == 2 and change is not None else ""

    out.table(
        ["concept", "fidelity", "kept", "follows text", "right scene", "taken for"],
        [
            [
                token,
                _number(report["fidelity"][token]),
                first if change is None else f"{change:+.3f}",
                _number(aligned.get(token)),
                _percent(scenes.get(token)),
                _confused(token, report.get("confusion", {}).get(token, {})),
            ]
            for token, change, first in zip(tokens, changes, unknown, strict=True)
        ],
        right=["fidelity", "kept", "follows text", "right scene"],
        styles=style,
    )


def _nouns(out: Output, report: dict[str, Any]) -> None:
    rcf = report.get("rcf", {})

    def style(row: int, column: int) -> str:
        value = list(rcf.values())[row].get("toward")
        if column != 2 or value is None:
            return ""
        return "green" if value < NOTICEABLE else "red" if value > 3 * NOTICEABLE else "yellow"

    out.table(
        ["class noun", "drift", "toward", "away"],
        [
            [
                noun,
                f"{figures.get('drift', 0.0):.4f}",
                _signed(figures.get("toward")),
                _number(figures.get("away")),
            ]
            for noun, figures in rcf.items()
        ],
        right=["drift", "toward", "away"],
        styles=style,
    )


def _confused(token: str, shares: dict[str, float]) -> str:
    """Other concepts that this one's pictures are nearest to, most frequent first."""
    others = sorted((-share, name) for name, share in shares.items() if name != token and share > 0)
    return ", ".join(f"{name} {-share:.0%}" for share, name in others)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
