"""Decoding: every format, mode and orientation gives upright RGB, or is refused with a reason."""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from lfsd.photo_files import NEUTRAL, PhotoProblemError, decode, printable
from tests.photos.pictures import encoded, png_header_only, scene


def corners(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Red top left, blue elsewhere: shows which way is up."""
    image = Image.new("RGB", size, (20, 30, 200))
    image.paste((230, 20, 20), (0, 0, size[0] // 2, size[1] // 2))
    return image


def pixel(image: Image.Image, x: float, y: float) -> np.ndarray:
    return np.asarray(image)[int(y * image.height), int(x * image.width)].astype(int)


def close(got: np.ndarray, wanted: tuple[int, int, int], within: int = 40) -> bool:
    return bool(np.abs(got - np.array(wanted)).max() <= within)


def open_bytes(data: bytes, min_side: int = 32, work_side: int = 64):
    return decode(data, min_side=min_side, work_side=work_side)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "HEIF"])
def test_formats(kind: str) -> None:
    if kind == "HEIF":
        buffer = io.BytesIO()
        pillow_heif.from_pillow(corners()).save(buffer, quality=95)
        data = buffer.getvalue()
    else:
        data = encoded(corners(), kind)
    got = open_bytes(data)
    assert got.image.mode == "RGB"
    assert got.full_size == (96, 64)
    assert close(pixel(got.image, 0.2, 0.2), (230, 20, 20))
    assert close(pixel(got.image, 0.8, 0.8), (20, 30, 200))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    turn_back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = corners()
    stored = upright.transpose(turn_back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = open_bytes(encoded(stored, "JPEG", exif=exif, quality=95))
    assert got.full_size == (96, 64)
    assert close(pixel(got.image, 0.2, 0.2), (230, 20, 20))


def test_modes_come_out_as_eight_bit_rgb() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    sixteen = open_bytes(encoded(Image.fromarray(ramp.astype(np.uint16)), "PNG"))
    assert close(pixel(sixteen.image, 0.5, 0.5), (128, 128, 128), 6)
    floats = open_bytes(encoded(Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF"))
    assert close(pixel(floats.image, 0.5, 0.5), (128, 128, 128), 6)
    cmyk = open_bytes(encoded(corners().convert("CMYK"), "JPEG"))
    assert close(pixel(cmyk.image, 0.2, 0.2), (230, 20, 20))
    palette = open_bytes(encoded(corners().convert("P"), "PNG"))
    assert close(pixel(palette.image, 0.2, 0.2), (230, 20, 20), 60)
    bitmap = open_bytes(encoded(corners().convert("1"), "PNG"))
    assert bitmap.image.mode == "RGB"


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (64, 64), (0, 0, 255))]
    data = encoded(corners(), "PNG", save_all=True, append_images=frames)
    assert close(pixel(open_bytes(data).image, 0.2, 0.2), (230, 20, 20))


def test_alpha_is_flattened_on_grey_and_kept_as_mask() -> None:
    image = corners().convert("RGBA")
    image.putalpha(0)
    image.paste((0, 255, 0, 255), (24, 16, 72, 48))
    got = open_bytes(encoded(image, "PNG"))
    assert close(pixel(got.image, 0.05, 0.05), NEUTRAL, 2)  # not the red hidden under alpha 0
    assert close(pixel(got.image, 0.5, 0.5), (0, 255, 0), 2)
    assert got.alpha is not None
    assert got.alpha[32, 48] == 1.0 and got.alpha[2, 2] == 0.0
    opaque = open_bytes(encoded(corners().convert("RGBA"), "PNG"))
    assert opaque.alpha is None


def test_palette_transparency() -> None:
    image = corners().convert("P", palette=Image.Palette.ADAPTIVE)
    blue = image.getpixel((90, 60))
    got = open_bytes(encoded(image, "PNG", transparency=blue))
    assert got.alpha is not None and got.alpha[60, 90] == 0.0
    assert close(pixel(got.image, 0.9, 0.9), NEUTRAL, 2)


def test_colour_profile_is_applied() -> None:
    # An embedded profile that swaps nothing must change nothing; a broken one must not refuse.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = open_bytes(encoded(corners(), "PNG", icc_profile=srgb))
    broken = open_bytes(encoded(corners(), "PNG", icc_profile=b"not a profile"))
    for got in (same, broken):
        assert close(pixel(got.image, 0.2, 0.2), (230, 20, 20), 3)
    lab = Image.new("L", (64, 64), 128)
    grey = open_bytes(encoded(lab, "PNG"))
    assert close(pixel(grey.image, 0.5, 0.5), (128, 128, 128), 1)


def test_large_jpeg_is_not_decoded_in_full() -> None:
    photo, _ = scene(3, size=(1600, 1200))
    got = open_bytes(encoded(photo, "JPEG"), work_side=100)
    assert got.full_size == (1600, 1200)
    assert min(got.image.size) == 100


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png_header_only(30_000, 30_000), "before decoding"),
        (png_header_only(64, 60), "damaged"),
        (b"hello, not a picture", "not a picture"),
        (encoded(Image.new("RGB", (31, 400)), "PNG"), "too small: 31 x 400"),
        (encoded(Image.new("RGB", (40, 400)), "PNG"), "too narrow"),
        (encoded(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), "PNG"), "fully transparent"),
        (encoded(Image.new("P", (64, 64)), "GIF"), "not a picture"),
    ],
)
def test_refusals_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(PhotoProblemError, match=reason):
        open_bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_any_cut_is_a_refusal_and_never_a_crash(kind: str) -> None:
    photo, _ = scene(5)
    data = encoded(photo, kind)
    refused = 0
    for share in (0.02, 0.1, 0.3, 0.5, 0.7):
        try:
            open_bytes(data[: int(len(data) * share)])
        except PhotoProblemError:
            refused += 1
    assert refused == 5


def test_flipped_bytes_never_crash() -> None:
    rng = np.random.default_rng(0)
    photo, _ = scene(6, size=(96, 80))
    outcomes = set()
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP"):
        good = encoded(photo, kind)
        for _ in range(40):
            data = bytearray(good)
            for spot in rng.integers(0, len(data), 6):
                data[spot] ^= int(rng.integers(1, 256))
            try:
                outcomes.add(open_bytes(bytes(data)).image.mode)
            except PhotoProblemError as problem:
                outcomes.add("refused")
                assert str(problem).isprintable()
    assert outcomes == {"RGB", "refused"}


def test_printable_escapes_what_a_terminal_acts_on() -> None:
    assert printable("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert printable("caf\u00e9 \u732b") == "caf\u00e9 \u732b"
    assert printable("x\u202egpj.exe") == "x\\u202egpj.exe"
    assert printable("bad\udcff") == "bad\\udcff"
