"""Tables, plots and contact sheets of a benchmark's folder.

    python -m benchmarks.lifelong.report DIR [--to FOLDER]

Writes report.md and, in report/, the pictures it shows, into DIR or another folder. Figures are
means over seeds, with their standard deviation. A run that has not come to its end is named and
left out of the tables. There are contact sheets where DIR holds the runs' pictures.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from PIL import Image, ImageDraw, ImageFont

from benchmarks.lifelong.chart import line_chart
from benchmarks.lifelong.methods import ABLATIONS, METHODS, plain_name
from benchmarks.lifelong.results import (
    BOUND,
    OURS,
    PLAIN,
    Line,
    Results,
    Run,
    at_end,
    bytes_per_concept,
    class_figure,
    confusion,
    cost,
    cost_growth,
    kept_diversity,
    lost,
    mean_fidelity,
    new_fidelity,
    plasticity,
    ratio,
    read_results,
    similar,
    spread,
)
from lfsd.errors import LfsdError

Figure = Callable[[Results, Run], float | None]
Column = tuple[str, str, Figure]
"""Heading, format, figure."""

KEPT: tuple[Column, ...] = (
    ("when learned", ".3f", new_fidelity),
    ("at the end", ".3f", at_end(mean_fidelity)),
    (f"of {BOUND}", ".1%", ratio(BOUND, at_end(mean_fidelity))),
    ("plasticity", ".1%", plasticity),
    ("PCF lost", ".3f", at_end(lost)),
    ("PCF similarity", ".3f", at_end(similar)),
    ("confusion", ".1%", at_end(confusion)),
    ("text alignment", ".3f", at_end(lambda line: line["text_alignment"])),
)
CLASSES: tuple[Column, ...] = (
    ("RCF drift", ".4f", at_end(class_figure("drift"))),
    ("RCF toward", ".3f", at_end(class_figure("toward"))),
    ("RCF away", ".3f", at_end(class_figure("away"))),
    ("diversity", ".3f", at_end(class_figure("diversity"))),
    ("of the base's", ".1%", at_end(kept_diversity)),
)
COSTS: tuple[Column, ...] = (
    ("seconds", ".1f", cost("seconds")),
    ("CPU seconds", ".1f", cost("cpu_seconds")),
    ("peak MB", ".0f", lambda results, run: fmean(x["peak_bytes"] for x in run.learned) / 1e6),
    ("KB a concept", ".1f", lambda results, run: _kilobytes(bytes_per_concept(results, run))),
    (f"CPU of {PLAIN}", ".2f", ratio(PLAIN, cost("cpu_seconds"))),
    ("late/early CPU", ".2f", cost_growth("cpu_seconds")),
    ("late/early memory", ".2f", cost_growth("peak_bytes")),
)
SHARES: tuple[Column, ...] = (
    # not of "toward": that of the plain way is near 0, its class pictures being the last subject's
    ("PCF lost", ".1%", ratio(PLAIN, at_end(lost))),
    ("RCF drift", ".1%", ratio(PLAIN, at_end(class_figure("drift")))),
)
PLOTS: tuple[tuple[str, str, Callable[[Line], float | None]], ...] = (
    ("fidelity", "Mean fidelity over all concepts so far", mean_fidelity),
    ("lost", "PCF: fidelity lost since learned (lower is better)", lost),
    ("drift", "RCF: drift of class nouns' predictions (lower is better)", class_figure("drift")),
    ("toward", "RCF: class pictures' move toward subjects", class_figure("toward")),
)
CELL = 96


def _kilobytes(value: float | None) -> float | None:
    return None if value is None else value / 1e3


def table(results: Results, methods: Sequence[str], columns: Sequence[Column]) -> str:
    """A Markdown table, a row per method that has come to its end."""
    head = ["method", "seeds", *(heading for heading, _, _ in columns)]
    rows = [head, ["---", "---:", *("---:" for _ in columns)]]
    for method in methods:
        runs = results.of(method)
        if runs:
            cells = [_cell([figure(results, run) for run in runs], f) for _, f, figure in columns]
            rows.append([method, str(len(runs)), *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(values: Sequence[float | None], shown: str) -> str:
    found = spread(values)
    if found is None:
        return ""
    return f"{found[0]:{shown}}" + ("" if found[1] is None else f" ± {found[1]:{shown}}")


def by_session(
    results: Results, methods: Sequence[str], figure: Callable[[Line], float | None]
) -> dict[str, list[tuple[float, float]]]:
    """Method -> (session, mean over seeds), for the sessions examined."""
    found: dict[str, list[tuple[float, float]]] = {}
    for method in methods:
        values: dict[int, list[float]] = {}
        for run in results.of(method):
            for line in run.examined:
                value = figure(line)
                if value is not None:
                    values.setdefault(line["session"], []).append(value)
        if values:
            found[method] = [(number, fmean(some)) for number, some in sorted(values.items())]
    return found


def contact_sheet(results: Results, methods: Sequence[str], photos: Path) -> Image.Image | None:
    """A row per concept: a photo, then each method's pictures of its first seed.

    None without pictures: lines alone make a report as well.
    """
    runs = [some[0] for some in map(results.of, methods) if some]
    if not all(folder.is_dir() for folder in [photos, *(r.folder / "pictures" for r in runs)]):
        return None
    tokens = [line["token"] for line in runs[0].lines] if runs else []
    rows = []
    for token in tokens:
        paths = [photos / f"{token}.png", *(r.folder / "pictures" / f"{token}.png" for r in runs)]
        rows.append([_fitted(Image.open(path)) for path in paths])
    if not rows:
        return None
    font, margin, gap = ImageFont.load_default(12), 44, 6
    width = margin + sum(cell.width + gap for cell in rows[0])
    sheet = Image.new("RGB", (width, 22 + len(rows) * (CELL + gap)), "white")
    draw = ImageDraw.Draw(sheet)
    for y, (token, row) in enumerate(zip(tokens, rows, strict=True)):
        top, left = 22 + y * (CELL + gap), margin
        draw.text((6, top + CELL / 2), token, fill="black", font=font, anchor="lm")
        for x, cell in enumerate(row):
            if y == 0:
                name = "photo" if x == 0 else runs[x - 1].method
                draw.text((left, 5), name, fill="black", font=font)
            sheet.paste(cell, (left, top))
            left += cell.width + gap
    return sheet


def _fitted(image: Image.Image) -> Image.Image:
    width = round(image.width * CELL / image.height)
    return image.convert("RGB").resize((width, CELL), Image.Resampling.LANCZOS)


def write_report(out: Path, to: Path | None = None) -> Path:
    """Make report.md and its pictures from the runs in `out`, in `to` or there."""
    results, to = read_results(out), to or out
    (to / "report").mkdir(parents=True, exist_ok=True)
    parts = [f"# {out.name}", _runs(results)]
    for title, methods in groups(results).items():
        parts += _group(results, title, methods, out / "photos", to)
    path = to / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def groups(results: Results) -> dict[str, list[str]]:
    """Heading -> methods with a whole run; lfsd's other settings, and ablations, beside lfsd.

    An ablation that takes over another's states stands beside that one, too.
    """
    ablations = {method.name for method in ABLATIONS}
    whole = [m for m in results.methods if results.of(m)]
    settings = [m for m in whole if m != OURS and plain_name(m) == OURS]
    ablated = [m for m in whole if plain_name(m) in ablations]
    found = {
        "Methods": [m for m in whole if m not in settings + ablated],
        "Settings": _beside(whole, settings, {OURS}),
        "Ablations": _beside(whole, ablated, {OURS, *map(_trained_as, ablated)}),
    }
    return {heading: methods for heading, methods in found.items() if methods}


def _beside(whole: Sequence[str], some: Sequence[str], others: set[str]) -> list[str]:
    """Those of `whole` that are among `some` or `others`; none without any of `some`."""
    return [m for m in whole if m in some or m in others] if some else []


def _trained_as(method: str) -> str:
    """The row whose states `dfkd+replay=2` was drawn from: `ours+replay=2`."""
    plain = plain_name(method)
    return (METHODS[plain].trained_as or OURS) + method.removeprefix(plain)


def tables(results: Results, methods: Sequence[str]) -> dict[str, str]:
    """Heading -> Markdown table."""
    columns = {
        "Concepts": KEPT,
        "Class nouns": CLASSES,
        "Costs of a session": COSTS,
        f"Forgetting as a share of {PLAIN}'s": SHARES,
    }
    return {heading: table(results, methods, some) for heading, some in columns.items()}


def _runs(results: Results) -> str:
    rows = []
    for method in results.methods:
        runs = [run for run in results.runs if run.method == method]
        seeds = ", ".join(str(run.seed) for run in runs if run.whole) or "none"
        cut = [f"seed {r.seed} stopped after {len(r.lines)}" for r in runs if not r.whole]
        about = METHODS[plain_name(method)].about
        rows.append("; ".join([f"- **{method}**: {about}. Seeds {seeds}", *cut]))
    return "\n".join(rows)


def _group(
    results: Results, title: str, methods: Sequence[str], photos: Path, to: Path
) -> list[str]:
    name = title.lower()
    parts = [f"## {title}"]
    parts += [f"### {heading}\n\n{text}" for heading, text in tables(results, methods).items()]
    for key, label, figure in PLOTS:
        lines = by_session(results, methods, figure)
        if lines:
            place = f"report/{name}-{key}.png"
            line_chart(label, "session", lines).save(to / place)
            parts.append(f"![{label}]({place})")
    sheet = contact_sheet(results, methods, photos)
    if sheet is not None:
        sheet.save(to / f"report/{name}-sheet.png")
        parts.append(f"![Every concept after the last session](report/{name}-sheet.png)")
    return parts


def main(arguments: list[str] | None = None) -> int:
    """Write the report; 1 and a plain line when there is nothing to report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lifelong.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, help="where to write; default: the folder itself")
    args = parser.parse_args(arguments)
    try:
        print(write_report(args.folder, args.to))
    except LfsdError as error:
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
