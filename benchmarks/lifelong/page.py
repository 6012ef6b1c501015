"""Puts tables of the landed lines where docs/benchmark.md asks for them.

    python -m benchmarks.lifelong.page

A table is asked for by a comment that names the protocol, the group of methods and the heading it
has in a report; it ends with another comment. What is between is written anew.
"""

import re
import sys
from pathlib import Path

from benchmarks.lifelong.report import groups, tables
from benchmarks.lifelong.results import read_results

LANDED = Path(__file__).parent / "landed"
PAGE = Path(__file__).parents[2] / "docs/benchmark.md"
ASKED = re.compile(
    r"(?P<begin><!-- table: (?P<place>[^>]+) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL
)


def landed() -> dict[str, str]:
    """ "protocol / group / heading" -> Markdown table, of everything that has landed."""
    found = {}
    for folder in sorted(LANDED.iterdir()):
        results = read_results(folder)
        for group, methods in groups(results).items():
            for heading, table in tables(results, methods).items():
                found[f"{folder.name} / {group} / {heading}"] = table
    return found


def filled(page: str) -> str:
    """The page with its tables as the lines have them. KeyError for a table that there is not."""
    known = landed()
    return ASKED.sub(lambda m: f"{m['begin']}\n{known[m['place']]}\n\n{m['end']}", page)


def main() -> int:
    """Write the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
