"""The demo, on the real embedded base and the bundled photos, with very few steps."""

import json
from pathlib import Path

import pytest
from PIL import Image

import lfsd
from lfsd_cli.commands.demo import Sample, bundled_samples, prompts
from tests.cli.conftest import Run

PACKAGE = Path(lfsd.__file__).parent


def test_prompts_of_the_demo() -> None:
    samples = [Sample("a", "cat", "V1"), Sample("b", "toy car", "V2")]
    assert prompts(samples) == [
        ("V1", "a photo of a V1 cat"),
        ("V1-beach", "a V1 cat on a beach"),
        ("V2", "a photo of a V2 toy car"),
        ("V2-beach", "a V2 toy car on a beach"),
        ("both", "a V1 cat and a V2 toy car"),
    ]


def test_bundled_samples_are_there() -> None:
    samples = bundled_samples()
    assert len(samples) >= 2
    for sample in samples[:2]:
        photos = list((PACKAGE / "samples" / sample.name).glob("*.jpg"))
        assert len(photos) >= 3 and sample.class_noun


@pytest.mark.slow
def test_demo_leaves_pictures_and_prints_the_report(run: Run, home: Path, tmp_path: Path) -> None:
    ran = run("demo", "--steps", 2, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert [session["token"] for session in document["sessions"]] == ["V1", "V2"]
    assert document["images"][-1]["concepts"] == ["V1", "V2"]
    assert set(document["report"]["fidelity"]) == {"V1", "V2"}
    for image in document["images"]:
        with Image.open(tmp_path / image["path"]) as picture:
            assert picture.size[0] >= 64
    assert (tmp_path / "lfsd-demo" / "all.png").is_file()
    assert json.loads((tmp_path / "lfsd-demo" / "report.json").read_text()) == document["report"]
    assert not home.exists(), "the demo must leave the user's own store alone"
