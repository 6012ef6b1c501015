"""What a session learned, asked of its own loss."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.plasticity import PLACES, main, run, table
from tests.learn.photos import disc_photos
from tests.tiny import tiny_base

SHORT = "rank=4 alpha=4 batch=2 pool_size=2 distill_steps=2"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cat")
    for photo in disc_photos(count=2, side=160):
        photo.image.save(folder / photo.name)
    return folder


def test_who_learns_more_has_less_loss_and_more_drift(photos: Path, tmp_path: Path) -> None:
    base, ways = str(tiny_base("pocket")), {}
    for way in (f"{SHORT} steps=1 lr_adapter=1e-5", f"{SHORT} steps=40 lr_adapter=1e-2"):
        ways[way] = run(way, photos, "cat", base, tmp_path)
    little, much = ways.values()
    assert all(much[f"L_DM {place}"] < little[f"L_DM {place}"] for place in PLACES)
    assert much['drift of "cat"'] > little['drift of "cat"'] > 0
    assert much["of other prompts"] > little["of other prompts"] > 0
    for way in ways:
        with Image.open(tmp_path / f"{way.replace(' ', '+')}.png") as sheet:
            assert sheet.width == 8 * sheet.height
    lines = table(ways).splitlines()
    assert len(lines) == 4 and lines[3].startswith(f"| {SHORT} steps=40")


def test_the_same_way_twice_is_the_same(photos: Path) -> None:
    way, base = f"{SHORT} steps=2", str(tiny_base("pocket"))
    assert run(way, photos, "cat", base) == run(way, photos, "cat", base)


def test_a_bad_way_is_one_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--photos", str(photos), "--class", "cat", "--base", str(tiny_base("pocket"))]
    assert main([*arguments, "--way", "distil_weight=1"]) == 1
    assert "did you mean distill_weight" in capsys.readouterr().err
