"""The HTML page of a report: self-contained, well formed, and nothing from outside gets through."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from lfsd_cli import svg
from lfsd_cli.report_page import Gallery, page, write
from tests.cli.conftest import Run

EVIL = "<script>alert('x')</script>\x1b\u202e"
REPORT: dict[str, Any] = {
    "quick": False,
    "fidelity": {"V1": 0.6, "V2": 0.7},
    "text_alignment": {"V1": 0.4},
    "scene_accuracy": {"V1": 0.5},
    "pcf": {"V1": {"change": -0.15, "similarity": 0.8}},
    "rcf": {EVIL: {"drift": 0.01, "toward": 0.03, "away": 0.1}},
    "confusion": {"V1": {"V1": 0.5, EVIL: 0.5}},
    "matrix": {
        "sessions": [1, 2], "concepts": ["V1", "V2"], "fidelity": [[0.75, None], [0.6, 0.7]],
    },
}  # fmt: skip
OPEN = {"meta", "img", "br"}
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PROBE = """<script>addEventListener("load", () => {
  const seen = [...document.images].filter(i => i.complete && i.naturalWidth > 0).length;
  document.body.dataset.seen = seen + " of " + document.images.length;
})</script></body>"""


class Balanced(HTMLParser):
    """Every element that is opened is closed, in order; collects tags and images."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in OPEN:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def parse(text: str) -> Balanced:
    found = Balanced()
    found.feed(text)
    found.close()
    assert found.stack == []
    return found


def test_the_page_is_whole_and_escaped() -> None:
    pictures = [(Image.new("RGB", (8, 8), "red"), f"now {EVIL}")]
    text = page(
        REPORT, base=EVIL, when="today", nouns={"V1": EVIL}, galleries=[Gallery(EVIL, pictures)]
    )
    found = parse(text)
    assert "script" not in found.tags and {"table", "svg", "figure"} <= found.tags
    assert len(found.sources) == 1 and found.sources[0].startswith("data:image/png;base64,")
    assert "\x1b" not in text and "\u202e" not in text
    assert not re.search(r"https?:", text), "nothing is fetched"
    assert text.count("0.750") == 1 and "-0.150" in text and "&lt;script&gt;" in text


def test_a_report_of_nothing_is_a_page_too() -> None:
    empty = {"fidelity": {}, "matrix": {"sessions": [], "concepts": [], "fidelity": []}}
    assert "Nothing learned yet" in page(empty, base="pocket", when="today", nouns={})


def test_plots_are_well_formed() -> None:
    for plot in (
        svg.lines({EVIL: [(1, 0.5), (2, 1.7)], "one": [(2, 0.1)]}, EVIL),
        svg.bars({EVIL.replace("\x1b", ""): 0.1, "dog": -0.2, "none": 0.0}, "plot"),
    ):
        ElementTree.fromstring(plot.replace("\x1b", ""))
    assert svg.lines({}, "x") == "" and svg.bars({}, "x") == ""


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.html", "one")
    write(tmp_path / "a.html", "two")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.html", "two")]


def test_a_wrong_place_is_refused_before_anything_is_measured(run: Run, learned: Path) -> None:
    ran = run("report", "--html", learned)
    assert ran.code == 2 and "is a folder" in ran.err
    ran = run("report", "--html", learned / "nowhere" / "x.html")
    assert ran.code == 2 and "is no folder" in ran.err


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_browser_shows_every_picture_and_complains_of_nothing(tmp_path: Path) -> None:
    pictures = [(Image.new("RGB", (64, 64), colour), f"now {EVIL}") for colour in ("red", "teal")]
    galleries = [Gallery("V1 cat", pictures), Gallery(EVIL, pictures[:1])]
    text = page(REPORT, base="pocket", when="today", nouns={"V1": "cat"}, galleries=galleries)
    file = tmp_path / "report.html"
    # the page forbids scripts, and the probe is one
    allowed = text.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    file.write_text(allowed.replace("</body>", PROBE))
    ran = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
         file.as_uri()],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert 'data-seen="3 of 3"' in ran.stdout
    assert "CONSOLE" not in ran.stderr
