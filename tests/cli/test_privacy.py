"""What a store and its pictures tell about the photos a concept was learned from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from store.store import Store
from tests.cli.conftest import Run
from tests.cli.test_main_job import QUICK, photos
from tests.tiny import tiny_base

CAMERA, PLACE = "SecretCam 9000", "12 Hidden Lane"


@pytest.fixture
def telling(tmp_path: Path) -> list[Path]:
    """JPEGs whose metadata says with what and where they were taken."""
    found = []
    for i, plain in enumerate(sorted(photos(tmp_path / "plain").iterdir())):
        exif = Image.Exif()
        exif[0x010F], exif[0x010E] = CAMERA, PLACE
        exif.get_ifd(0x8825)[1] = "N"
        found.append(tmp_path / "phone" / f"{i}.jpg")
        found[-1].parent.mkdir(exist_ok=True)
        with Image.open(plain) as image:
            image.save(found[-1], quality=95, exif=exif, comment=PLACE.encode())
    return found


@pytest.mark.parametrize("wish", [[], ["--thumbnail"]])
def test_nothing_written_holds_a_photo_or_its_metadata(
    run: Run, home: Path, tmp_path: Path, telling: list[Path], wish: list[str]
) -> None:
    assert run("init", "--base", tiny_base("pocket")).code == 0
    learned = run("learn", *telling, "--token", "V1", "--class", "cat", *QUICK, *wish)
    assert learned.code == 0, learned.err
    drawn = run("gen", "a V1 cat", "--steps", 2, "--out", tmp_path / "out")
    assert drawn.code == 0, drawn.err
    backed = run("store", "backup", tmp_path / "copy")
    assert backed.code == 0, backed.err
    originals = [photo.read_bytes() for photo in telling]
    assert all(CAMERA.encode() in photo and PLACE.encode() in photo for photo in originals)
    folders = (home, tmp_path / "out", tmp_path / "copy")
    written = [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    assert len(written) > 8
    for path in written:
        data = path.read_bytes()
        for secret in (CAMERA.encode(), PLACE.encode(), b"Exif", *(p[400:600] for p in originals)):
            assert secret not in data, path
    for path in home.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or home / "work" in path.parents, path
    assert home.stat().st_mode & 0o077 == 0
    pictures = [p.relative_to(home).as_posix() for p in home.rglob("*.png")]
    assert pictures == ["work/photos.png"]  # what the model saw, until the next session
    assert not list((tmp_path / "copy").rglob("*.png"))
    for folder in (home, tmp_path / "copy"):
        with Store.open(folder) as store:
            blobs = [store.tensors(sha) for s in store.sessions() for sha in s.blobs()]
        pixels = [t for blob in blobs for t in blob.values() if t.dtype == np.uint8]
        assert [t.shape for t in pixels] == [(96, 96, 3)] * len(wish)
