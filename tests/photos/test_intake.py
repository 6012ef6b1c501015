"""Folders and files to prepared photos: what is used, refused, warned of, cropped."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfsd.contact_sheet import contact_sheet, dimmed
from lfsd.crop import choose_crop
from lfsd.errors import PhotosRefusedError, UsageError
from lfsd.photos import intake
from store.records import Refusal
from tests.photos.pictures import folder_of, png_header_only, scene


def reasons(refused: list[Refusal]) -> dict[str, str]:
    return {item.file: item.reason for item in refused}


def test_folder_of_photos(tmp_path: Path) -> None:
    folder_of(tmp_path, 3)
    got = intake([tmp_path], resolution=64)
    assert [photo.name for photo in got.photos] == ["00.jpg", "01.jpg", "02.jpg"]
    assert got.refused == [] and got.warnings == []
    for photo in got.photos:
        assert photo.image.mode == "RGB" and photo.image.size == (64, 64)
        assert photo.mask.shape == (64, 64) and photo.mask.dtype == np.float32
        assert 0 <= photo.mask.min() and photo.mask.max() <= 1
        assert len(photo.sha256) == 64 and photo.caption is None
        left, top, right, bottom = photo.crop
        assert right - left == bottom - top >= 64
        assert left >= 0 and top >= 0 and right <= 200 and bottom <= 160


def test_mask_follows_the_subject(tmp_path: Path) -> None:
    folder_of(tmp_path, 4)
    for photo in intake([tmp_path], resolution=64).photos:
        pixels = np.asarray(photo.image).astype(int)
        red = (pixels[..., 0] > 180) & (pixels[..., 1] < 90)
        assert photo.mask[red].mean() > 0.85
        assert photo.mask[~red].mean() < 0.15


def test_same_result_twice(tmp_path: Path) -> None:
    folder_of(tmp_path, 3)
    one, two = (intake([tmp_path], resolution=64) for _ in range(2))
    for a, b in zip(one.photos, two.photos, strict=True):
        assert a.image.tobytes() == b.image.tobytes() and np.array_equal(a.mask, b.mask)


def test_off_centre_subject_is_kept(tmp_path: Path) -> None:
    """A blind centre crop of these would cut the disc in half."""
    for i, x in enumerate((0.12, 0.88, 0.15)):
        photo, _ = scene(i, size=(400, 160), centre=(x, 0.5), radius=0.3)
        photo.save(tmp_path / f"{i}.png")
    for photo, x in zip(intake([tmp_path], resolution=64).photos, (0.12, 0.88, 0.15), strict=True):
        left, _, right, _ = photo.crop
        assert left <= max(0, x * 400 - 46) and right >= min(400, x * 400 + 46)


def test_tall_photo_and_crop_limits() -> None:
    mask = np.zeros((120, 60), np.float32)
    mask[80:100, 20:40] = 1
    left, top, right, bottom = choose_crop(mask, (600, 1200), 128)
    assert right - left == bottom - top
    assert 231 <= right - left <= 242  # 1.2 x the subject
    assert left <= 200 and right >= 400 and top <= 800 and bottom >= 1000
    assert choose_crop(mask, (600, 1200), 512)[2:] >= (512, 512)  # never enlarged without need
    assert choose_crop(np.zeros((9, 9), np.float32), (90, 90), 32) == (0, 0, 90, 90)
    tiny = np.zeros((100, 100), np.float32)
    tiny[50, 50] = 1
    left, _, right, _ = choose_crop(tiny, (1000, 1000), 64)
    assert right - left == 400


def test_cut_out_uses_its_own_alpha(tmp_path: Path) -> None:
    photo, disc = scene(1)
    photo.putalpha(Image.fromarray((disc * 255).astype(np.uint8)))
    photo.save(tmp_path / "cut.png")
    got = intake([tmp_path / "cut.png"], resolution=64).photos[0]
    red = np.asarray(got.image)[..., 0] > 175
    assert got.mask[red].min() > 0.4 and got.mask[~red].mean() < 0.05
    assert np.abs(np.asarray(got.image)[0, 0].astype(int) - 128).max() <= 2


def test_bad_files_are_refused_and_the_rest_used(tmp_path: Path) -> None:
    good = folder_of(tmp_path, 2)
    (tmp_path / "cut.jpg").write_bytes(good[0].read_bytes()[:900])
    (tmp_path / "bomb.png").write_bytes(png_header_only(30_000, 30_000))
    (tmp_path / "empty.webp").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("no photo has this name")
    shutil.copy(good[0], tmp_path / "copy.jpg")
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    got = intake([tmp_path], resolution=64)
    assert [photo.name for photo in got.photos] == ["00.jpg", "01.jpg"]
    why = reasons(got.refused)
    assert set(why) == {
        "cut.jpg", "bomb.png", "empty.webp", "text.png", "notes.txt", "copy.jpg", "small.png"
    }  # fmt: skip
    assert "truncated" in why["cut.jpg"] and "before decoding" in why["bomb.png"]
    assert why["copy.jpg"] == "the same file as 00.jpg"
    assert "20 x 20" in why["small.png"] and why["notes.txt"] == "not a picture file"


def test_strict_stops_on_any_refusal(tmp_path: Path) -> None:
    folder_of(tmp_path, 2)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PhotosRefusedError, match=r"text\.png refused"):
        intake([tmp_path], resolution=64, strict=True)


@pytest.mark.parametrize("content", [[], ["a.txt", "b.md"], [".hidden.jpg"]])
def test_nothing_usable(tmp_path: Path, content: list[str]) -> None:
    for name in content:
        (tmp_path / name).write_text("x")
    with pytest.raises(UsageError, match="no usable photo") as caught:
        intake([tmp_path], resolution=64)
    assert "\n" not in caught.value.message and "JPEG" in caught.value.hint


def test_missing_path_and_missing_captions(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        intake([tmp_path / "nowhere"], resolution=64)
    folder_of(tmp_path, 1)
    with pytest.raises(UsageError, match="not a folder of captions"):
        intake([tmp_path], resolution=64, captions=tmp_path / "00.jpg")


def test_hidden_files_quiet_subfolders_named(tmp_path: Path) -> None:
    folder_of(tmp_path, 2)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "more").mkdir()
    folder_of(tmp_path / "more", 1, radius=0.4)
    got = intake([tmp_path], resolution=64)
    assert len(got.photos) == 2 and got.refused == []
    assert got.warnings == [f"folders inside {tmp_path.name} are not searched: more"]


def test_a_file_named_twice_is_one_photo(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, 2)
    got = intake([paths[1], tmp_path, paths[1]], resolution=64)
    assert [photo.name for photo in got.photos] == ["01.jpg", "00.jpg"] and got.refused == []


def test_near_duplicates_are_warned_of(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, 3)
    with Image.open(paths[1]) as photo:
        photo.save(tmp_path / "resaved.jpg", quality=60)
    got = intake([tmp_path], resolution=64)
    assert len(got.photos) == 4
    assert [text for text in got.warnings if "resaved.jpg looks almost the same as 01.jpg" in text]
    assert len(got.warnings) == 1


def test_small_photo_is_enlarged_with_a_warning(tmp_path: Path) -> None:
    folder_of(tmp_path, 1)
    got = intake([tmp_path], resolution=200)
    assert got.photos[0].image.size == (200, 200)
    assert "enlarged to 200" in got.warnings[0]
    with pytest.raises(UsageError, match="too small"):
        intake([tmp_path], resolution=512)


def test_captions(tmp_path: Path) -> None:
    folder_of(tmp_path, 3)
    (tmp_path / "00.txt").write_bytes(b"\xef\xbb\xbfa  dog\r\n on a\tsofa \x1b[31m\xff")
    (tmp_path / "01.txt").write_text("a cat" * 500)
    got = intake([tmp_path], resolution=64, class_noun="dog")
    assert got.photos[0].caption == "a dog on a sofa [31m"
    assert got.photos[1].caption is not None and len(got.photos[1].caption) == 300
    assert got.photos[2].caption is None
    assert got.warnings == ["the caption of 01.jpg does not say 'dog'"] and got.refused == []


def test_captions_from_their_own_folder(tmp_path: Path) -> None:
    photos, texts = tmp_path / "photos", tmp_path / "texts"
    photos.mkdir()
    texts.mkdir()
    folder_of(photos, 2)
    (photos / "00.txt").write_text("beside the photo")
    got = intake([photos], resolution=64, captions=texts)
    assert got.photos[0].caption is None
    assert "no caption in" in got.warnings[0]
    (texts / "00.txt").write_text("in its own folder")
    got = intake([photos], resolution=64, captions=texts)
    assert got.photos[0].caption == "in its own folder" and got.warnings == []


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_control_characters_in_names_are_escaped(tmp_path: Path) -> None:
    good = folder_of(tmp_path, 1)[0]
    good.rename(tmp_path / "a\x1b[2J\nb.jpg")
    (tmp_path / "c\x07.jpg").write_text("bad")
    got = intake([tmp_path], resolution=64)
    assert got.photos[0].name == "a\\x1b[2J\\nb.jpg"
    assert got.refused[0].file == "c\\x07.jpg"


def test_contact_sheet_shows_every_photo_and_refusal(tmp_path: Path) -> None:
    folder_of(tmp_path, 3)
    got = intake([tmp_path], resolution=64)
    plain = contact_sheet(got.photos, [])
    with_refused = contact_sheet(got.photos, [Refusal("\u732b.png", "truncated " * 50)])
    assert plain.mode == "RGB" and with_refused.height > plain.height
    assert with_refused.width == plain.width
    for i, photo in enumerate(got.photos):
        cell = plain.crop((12 + i * 204, 12, 12 + i * 204 + 192, 204)).resize((64, 64))
        gap = np.abs(np.asarray(cell).astype(int) - np.asarray(photo.image).astype(int))
        assert gap.mean() < 6
    faded = np.asarray(dimmed(got.photos[0])).astype(int)
    background = got.photos[0].mask < 0.05
    assert np.ptp(faded[background], axis=-1).max() <= 12
    many = contact_sheet(got.photos * 4, [Refusal("x", "y")] * 30)
    assert many.width == contact_sheet(got.photos * 2, []).width
