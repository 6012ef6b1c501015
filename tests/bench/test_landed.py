"""The pages say what the landed lines say."""

import json
from pathlib import Path

import pytest

from benchmarks.lifelong.journal import ABOUT
from benchmarks.lifelong.methods import ABLATIONS, pick_methods, plain_name
from benchmarks.lifelong.page import END, LANDED, PAGES, asked, filled, landed
from benchmarks.lifelong.results import OURS, read_results
from lfsd.errors import UsageError
from lfsd.settings import Settings

PLACE = "ten / Methods / Concepts"
BEGIN = f"<!-- table: {PLACE} -->\n"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_tables_of_a_page_are_those_of_the_lines(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert filled(page, landed()) == page, "python -m benchmarks.lifelong.page writes them"


def test_what_every_group_kept_is_on_a_page() -> None:
    shown = {place for path in PAGES for place in asked(path.read_text(encoding="utf-8"))}
    assert {p for p in landed() if p.endswith(("/ Concepts", "/ Class nouns"))} <= shown


def test_a_table_is_written_anew_and_what_stands_around_it_is_left() -> None:
    page = filled(f"a\n\n{BEGIN}| old |\n{END}\n\nb\n", {PLACE: "| new |"})
    assert page == f"a\n\n{BEGIN}\n| new |\n\n{END}\n\nb\n"


@pytest.mark.parametrize(
    "page",
    [
        f"{BEGIN}| old |\n\nprose\n\n{BEGIN}{END}",
        f"{BEGIN}{END} {END}",
        f"<!-- table: {PLACE}-->\n{END}",
        f"<!-- table: ten / Methods / Prices -->\n{END}",
    ],
)
def test_comments_that_are_not_whole_lose_nothing(page: str) -> None:
    with pytest.raises(UsageError, match="table"):
        filled(page, {PLACE: "| new |"})


def test_what_has_landed_is_whole() -> None:
    for protocol in LANDED.iterdir():
        assert all(run.whole for run in read_results(protocol).runs)


def test_rows_of_lfsd_are_what_their_names_say() -> None:
    """When a default changes, what was run before gets another name."""
    lfsd = {OURS, *(method.name for method in ABLATIONS)}
    for protocol in LANDED.iterdir():
        for run in read_results(protocol).runs:
            if plain_name(run.method) not in lfsd:
                continue
            about = json.loads((run.folder / ABOUT).read_text(encoding="utf-8"))
            changes = pick_methods([run.method])[-1].changes
            named = Settings().changed(
                **{**about["protocol"]["settings"], **changes, "seed": run.seed}
            )
            found = named.to_dict() | about["settings"]
            assert found == named.to_dict(), f"{protocol.name} {run.method} seed {run.seed}"
