"""The protocols that come along, and what is said about one that cannot be used."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.lifelong.__main__ import main
from benchmarks.lifelong.methods import pick_methods
from benchmarks.lifelong.protocol import load_protocol
from lfsd.errors import UsageError
from lfsd.settings import Settings


@pytest.mark.parametrize("name, count", [("short", 3), ("search", 4), ("ten", 10), ("thirty", 30)])
def test_protocols_are_whole(name: str, count: int) -> None:
    protocol = load_protocol(name)
    assert len(protocol.lessons) == len({lesson.token for lesson in protocol.lessons}) == count
    assert len({lesson.name for lesson in protocol.lessons}) == count
    assert pick_methods(protocol.methods)
    Settings().changed(**protocol.settings)
    assert protocol.examined(1) and protocol.examined(count)
    for lesson in protocol.lessons:
        if lesson.source == "sample":
            assert len(list(lesson.folder(None, Path()).glob("*.jpg"))) == 5
    if count > 4:
        assert len(protocol.seeds) >= 3


def test_ten_has_rivals_and_both_kinds_of_photos() -> None:
    protocol = load_protocol("ten")
    nouns = Counter(lesson.class_noun for lesson in protocol.lessons)
    assert nouns["cat"] == nouns["dog"] == 2
    assert {lesson.source for lesson in protocol.lessons} == {"photos", "sample"}
    assert all(lesson.source == "sprite" for lesson in load_protocol("thirty").lessons)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no protocol 'twelve'"):
        load_protocol("twelve")
    with pytest.raises(UsageError, match="folder of photos called 'cat'"):
        load_protocol("ten").lessons[0].folder(None, tmp_path)
    with pytest.raises(UsageError, match="sprite 'black cat'") as caught:
        load_protocol("thirty").lessons[0].folder(None, tmp_path)
    assert "benchmarks.lifelong.sprites" in caught.value.hint
    (tmp_path / "mine.json").write_text('{"about": "", "methods": "all", "sessions": [{}]}')
    with pytest.raises(UsageError, match="is no protocol"):
        load_protocol(str(tmp_path / "mine.json"))


def test_the_command_says_it_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--protocol", "ten", "--out", str(tmp_path), "--methods", "lora"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("no method 'lora'\nknown: ") and "Traceback" not in said
    assert not list(tmp_path.iterdir())
