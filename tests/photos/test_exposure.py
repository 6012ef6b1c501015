"""Photos taken in the dark are brightened; dark subjects in good light are not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfsd.exposure import BRIGHT, MOST, brightened, lift
from lfsd.photos import intake
from tests.photos.pictures import folder_of, scene


def dimmed(image: Image.Image, factor: float) -> Image.Image:
    return Image.fromarray((np.asarray(image, dtype=np.float32) * factor).astype(np.uint8))


def lightest(image: Image.Image) -> float:
    return float(np.percentile(np.asarray(image.convert("L")), 99)) / 255


def test_an_underexposed_photo_is_lifted_to_daylight_and_no_further() -> None:
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 64, 3)))
    dark = dimmed(ramp, 0.5)
    assert lightest(brightened(dark, lift(dark))) == pytest.approx(BRIGHT, abs=0.02)
    assert lift(dimmed(ramp, 0.1)) == MOST
    assert lift(Image.new("RGB", (8, 8))) == MOST  # nothing to see: no division by it


def test_a_dark_subject_in_good_light_stays_dark() -> None:
    pixels = np.full((64, 64, 3), 230, np.uint8)
    pixels[8:56, 8:56] = 20
    assert lift(Image.fromarray(pixels)) == 1.0


def test_intake_brightens_and_says_so(tmp_path: Path) -> None:
    folder_of(tmp_path, 3)
    with Image.open(tmp_path / "01.jpg") as opened:
        dimmed(opened.convert("RGB"), 0.4).save(tmp_path / "01.jpg")
    got = intake([tmp_path], resolution=64)
    kept = intake([tmp_path], resolution=64, brighten=False)
    (said,) = [text for text in got.warnings if "underexposed" in text]
    assert "01.jpg" in said and "00.jpg" not in said and "brighten=false" in said
    assert not any("underexposed" in text for text in kept.warnings)
    means = [np.asarray(x.photos[1].image).mean() for x in (got, kept)]
    assert means[0] > 1.5 * means[1]
    assert got.photos[0].image.tobytes() == kept.photos[0].image.tobytes()


def test_a_cut_out_does_not_tell_its_light(tmp_path: Path) -> None:
    photo, disc = scene(1)
    dark = dimmed(photo, 0.3)
    dark.putalpha(Image.fromarray((disc * 255).astype(np.uint8)))
    dark.save(tmp_path / "cut.png")
    got = intake([tmp_path / "cut.png"], resolution=64)
    assert not any("underexposed" in text for text in got.warnings)
