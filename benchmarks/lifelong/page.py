"""Writes the tables of docs/benchmark*.md from the landed lines.

    python -m benchmarks.lifelong.page

A table is asked for by a comment that names the protocol, the group of methods and the heading it
has in a report; it ends with another comment. What is between is written anew.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.lifelong.report import groups, tables
from benchmarks.lifelong.results import read_results
from lfsd.errors import LfsdError, UsageError

LANDED = Path(__file__).parent / "landed"
PAGES = sorted((Path(__file__).parents[2] / "docs").glob("benchmark*.md"))
BEGIN, END = "<!-- table: ", "<!-- end of table -->"
ASKED = re.compile(rf"(?P<begin>{BEGIN}(?P<place>.+) -->\n)(?:\|.*\n|\n)*{END}")
"""Nothing but a table may stand between the comments, so that no prose is ever lost."""


def landed() -> dict[str, str]:
    """ "protocol / group / heading" -> Markdown table, of everything that has landed."""
    found = {}
    for folder in sorted(LANDED.iterdir()):
        results = read_results(folder)
        for group, methods in groups(results).items():
            for heading, table in tables(results, methods).items():
                found[f"{folder.name} / {group} / {heading}"] = table
    return found


def asked(page: str) -> list[str]:
    """What the page asks for. UsageError if a comment is not whole."""
    places = [found["place"] for found in ASKED.finditer(page)]
    if not len(places) == page.count(BEGIN) == page.count(END):
        raise UsageError(
            f"{len(places)} of {page.count(BEGIN)} tables can be told from what is around them",
            f"a table is put between {BEGIN}protocol / group / heading --> and {END}",
        )
    return places


def filled(page: str, known: Mapping[str, str]) -> str:
    """The page with its tables as `known` has them. UsageError if one cannot be had."""
    for place in asked(page):
        if place not in known:
            raise UsageError(f"nothing has landed for the table {place!r}", ", ".join(known))
    return ASKED.sub(lambda found: f"{found['begin']}\n{known[found['place']]}\n\n{END}", page)


def main(arguments: list[str] | None = None) -> int:
    """Write the pages; 1 and a plain line when one asks for what there is not."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.lifelong.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    new: dict[Path, str] = {}
    at = LANDED
    try:
        known = landed()
        for at in PAGES:
            new[at] = filled(at.read_text(encoding="utf-8"), known)
    except LfsdError as error:
        print(f"{at.name}: {error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    for page, text in new.items():
        page.write_text(text, encoding="utf-8")
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
