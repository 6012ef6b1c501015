"""The pages: their links lead somewhere, and the guide is what the walk walks."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"\w+:", target):
            assert (page.parent / target).exists(), target


def test_the_guide_learns_what_the_walk_learns() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    line = r"lfsd learn lfsd/samples/(\w+)\s+--token (V\d+)\s+--class (\"[^\"]+\"|\w+)\n"
    told = {(name, token, noun.strip('"')) for name, token, noun in re.findall(line, guide)}
    walk = (ROOT / "docs" / "walk.py").read_text(encoding="utf-8")
    subjects = re.findall(r'"(\w+)": "([^"]+)",', walk)
    assert told == {(name, f"V{n}", noun) for n, (name, noun) in enumerate(subjects, 1)}
