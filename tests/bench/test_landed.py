"""The page says what the landed lines say."""

import pytest

from benchmarks.lifelong.page import ASKED, LANDED, PAGE, filled, landed
from benchmarks.lifelong.results import read_results


def test_tables_of_the_page_are_those_of_the_lines() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "python -m benchmarks.lifelong.page writes them"


def test_every_group_of_methods_is_on_the_page() -> None:
    asked = {found["place"] for found in ASKED.finditer(PAGE.read_text(encoding="utf-8"))}
    assert {place for place in landed() if place.endswith("/ Concepts")} <= asked


def test_a_table_is_written_anew_and_what_stands_around_it_is_left() -> None:
    place, table = next(iter(landed().items()))
    begin, end = f"a\n\n<!-- table: {place} -->\n", "<!-- end of table -->\n\nb\n"
    assert filled(f"{begin}| old |\n{end}") == f"{begin}\n{table}\n\n{end}"
    with pytest.raises(KeyError):
        filled("<!-- table: ten / Methods / Prices -->\n<!-- end of table -->")


def test_what_has_landed_is_whole() -> None:
    for protocol in LANDED.iterdir():
        assert all(run.whole for run in read_results(protocol).runs)
