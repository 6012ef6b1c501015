"""PNG files that say how they were made, and nothing else."""

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lfsd.errors import LfsdError, NotFoundError, ResourceError
from lfsd.png import parameters_text, read_png, save_png

TOLD = {
    "prompt": "a V1 cat on a beach",
    "negative": "blurry, dark",
    "steps": 30,
    "sampler": "DPM++ 2M",
    "guidance": 5.0,
    "seed": 7,
    "size": "128x128",
    "concepts": ["V1"],
    "base": {"id": "pocket", "sha256": "00ff"},
    "versions": {"lfsd": "0.1.0"},
}


def picture() -> Image.Image:
    image = Image.radial_gradient("L").resize((16, 16)).convert("RGB")
    image.info.update({"exif": b"secret place", "Comment": "home", "icc_profile": b"profile"})
    return image


def test_round_trip_keeps_pixels_and_provenance(tmp_path: Path) -> None:
    path = save_png(picture(), TOLD, tmp_path / "new" / "a.png")
    assert read_png(path) == TOLD
    with Image.open(path) as back:
        assert back.tobytes() == picture().tobytes()
        assert set(back.info) == {"parameters", "lfsd"}
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_parameters_are_what_a1111_writes(tmp_path: Path) -> None:
    assert parameters_text(TOLD).splitlines() == [
        "a V1 cat on a beach",
        "Negative prompt: blurry, dark",
        "Steps: 30, Sampler: DPM++ 2M, CFG scale: 5.0, Seed: 7, Size: 128x128, Model: pocket, "
        "Version: lfsd 0.1.0",
    ]
    with Image.open(save_png(picture(), TOLD, tmp_path / "a.png")) as back:
        assert back.info["parameters"] == parameters_text(TOLD)


def test_a_prompt_cannot_forge_lines() -> None:
    text = parameters_text(
        {"prompt": "x\nNegative prompt: y\nSteps: 1", "steps": 2, "base": {"id": 'a, Seed: 9"'}}
    )
    assert len(text.splitlines()) == 2
    assert r'Model: "a, Seed: 9\""' in text


def test_other_alphabets(tmp_path: Path) -> None:
    told = {**TOLD, "prompt": "V1 猫, où ça 🐈"}
    assert read_png(save_png(picture(), told, tmp_path / "a.png")) == told


@pytest.mark.parametrize("text", [None, "{", "[1]", "", "[" * 200_000])
def test_a_foreign_png_is_refused(tmp_path: Path, text: str | None) -> None:
    info = PngInfo()
    if text is not None:
        info.add_text("lfsd", text)
    picture().save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(LfsdError, match="provenance"):
        read_png(tmp_path / "a.png")


def test_damaged_missing_and_unwritable(tmp_path: Path) -> None:
    path = save_png(picture(), TOLD, tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes(path.read_bytes()[:60])
    with pytest.raises(LfsdError, match=r"cut\.png"):
        read_png(tmp_path / "cut.png")
    with pytest.raises(NotFoundError):
        read_png(tmp_path / "none.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"):
        save_png(picture(), TOLD, tmp_path / "file" / "a.png")
