"""A report as one self-contained HTML page: nothing is fetched, everything from outside escaped."""

import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfsd_cli import svg
from lfsd_cli.forgetting import LEGEND
from lfsd_cli.text import clean

if TYPE_CHECKING:
    from PIL.Image import Image

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.heat { color: #fff; min-width: 4rem; text-align: center; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; }
svg .grid { stroke: currentColor; opacity: .15; }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; } figcaption, .note { opacity: .7; font-size: .85rem; }
figure img { width: 8rem; height: 8rem; object-fit: cover; border-radius: 4px; display: block; }
"""


@dataclass(frozen=True)
class Gallery:
    """Pictures of one concept that belong together, and what to say below each."""

    title: str
    pictures: "Sequence[tuple[Image, str]]"


def page(
    report: dict[str, Any],
    *,
    base: str,
    when: str,
    nouns: dict[str, str],
    galleries: Sequence[Gallery] = (),
) -> str:
    """The page of `Report.to_dict()`; `nouns` maps tokens to their class nouns."""
    parts = [
        "<h1>What was kept and what was forgotten</h1>",
        f'<p class="note">{_text(when)} · base {_text(base)} · '
        f"{len(report['fidelity'])} concepts · {'quick' if report.get('quick') else 'full'}</p>",
    ]
    if report["fidelity"]:
        parts += [_matrix(report["matrix"]), _curves(report["matrix"]), _concepts(report, nouns)]
        parts += [_nouns(report.get("rcf", {})), *map(_gallery, galleries)]
        parts += [f'<p class="note">{"<br>".join(map(_text, LEGEND))}</p>']
    else:
        parts.append("<p>Nothing learned yet, so there is nothing to measure.</p>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>lfsd report</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def write(path: Path, text: str) -> None:
    """Put the page in its place whole, or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _matrix(matrix: dict[str, Any]) -> str:
    rows = matrix["fidelity"]
    first = [
        next((row[c] for row in rows if row[c] is not None), None)
        for c in range(len(matrix["concepts"]))
    ]
    head = "".join(f"<th>{_text(token)}</th>" for token in matrix["concepts"])
    body = "".join(
        f"<tr><td>{number}</td>"
        + "".join(_heat(value, then) for value, then in zip(row, first, strict=True))
        + "</tr>"
        for number, row in zip(matrix["sessions"], rows, strict=True)
    )
    return (
        "<h2>Fidelity of each concept after each session</h2>"
        f'<div class="wide"><table><tr><th>session</th>{head}</tr>{body}</table></div>'
    )


def _heat(value: float | None, then: float | None) -> str:
    if value is None:
        return "<td></td>"
    left = min(1.0, max(0.0, (value / then - 0.8) / 0.2)) if then else 1.0
    return f'<td class="heat" style="background:hsl({120 * left:.0f} 60% 32%)">{value:.3f}</td>'


def _curves(matrix: dict[str, Any]) -> str:
    series = {
        clean(token): [
            (int(number), float(row[c]))
            for number, row in zip(matrix["sessions"], matrix["fidelity"], strict=True)
            if row[c] is not None
        ]
        for c, token in enumerate(matrix["concepts"])
    }
    return svg.lines(series, "fidelity over the sessions")


def _concepts(report: dict[str, Any], nouns: dict[str, str]) -> str:
    rows = []
    for token, value in report["fidelity"].items():
        change = report.get("pcf", {}).get(token, {}).get("change")
        shares = report.get("confusion", {}).get(token, {})
        others = ", ".join(f"{n} {s:.0%}" for n, s in shares.items() if n != token and s > 0)
        cells = [
            f"{token} ({nouns.get(token, '?')})",
            f"{value:.3f}",
            "just learned" if change is None else f"{change:+.3f}",
            _figure(report.get("text_alignment", {}).get(token)),
            _figure(report.get("scene_accuracy", {}).get(token)),
            others,
        ]
        rows.append("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>")
    names = ("concept", "fidelity", "kept", "follows text", "right scene", "taken for")
    head = "".join(f"<th>{name}</th>" for name in names)
    return (
        "<h2>Concepts now</h2>"
        f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    )


def _nouns(rcf: dict[str, dict[str, float]]) -> str:
    moved = {clean(noun): float(f["toward"]) for noun, f in rcf.items() if "toward" in f}
    if not moved:
        return ""
    plot = svg.bars(moved, "how much plain class pictures moved toward a concept's photos")
    return f"<h2>Plain class nouns: toward the concepts (0 is best)</h2>{plot}"


def _gallery(gallery: Gallery) -> str:
    figures = "".join(
        f'<figure><img alt="{_text(caption)}" src="{_uri(picture)}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
        for picture, caption in gallery.pictures
    )
    return f'<h2>{_text(gallery.title)}</h2><div class="pictures">{figures}</div>'


def _uri(picture: "Image") -> str:
    data = BytesIO()
    picture.save(data, format="PNG")
    return f"data:image/png;base64,{b64encode(data.getvalue()).decode('ascii')}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _text(value: object) -> str:
    return escape(clean(value))
