"""The page says what the landed lines say."""

from pathlib import Path

import pytest

from benchmarks.lifelong.report import groups, tables
from benchmarks.lifelong.results import read_results

ROOT = Path(__file__).parents[2]
LANDED = ROOT / "benchmarks/lifelong/landed"


@pytest.mark.parametrize("protocol", sorted(p.name for p in LANDED.iterdir()))
def test_tables_of_the_page_are_those_of_the_lines(protocol: str) -> None:
    page = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
    results = read_results(LANDED / protocol)
    for methods in groups(results).values():
        for heading, text in tables(results, methods).items():
            assert text in page, f"{protocol}: {heading}"


def test_what_has_landed_is_whole() -> None:
    for protocol in LANDED.iterdir():
        assert all(run.whole for run in read_results(protocol).runs)
