"""Opening one picture file safely: formats, limits, orientation, colour, transparency."""

import functools
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

# Only these decoders are ever tried, whatever a file calls itself. The JPEG one also opens MPO, the
# form in which many phones store a JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "BMP", "TIFF")
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp "
    ".heic .heif .hif .avif .bmp .dib .tif .tiff".split()
)
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_PIXELS = 89_478_485  # Pillow's own warning level; a warning counts as an error here
NEUTRAL = (128, 128, 128)

FloatArray = npt.NDArray[np.float32]


class PhotoProblemError(Exception):
    """One picture cannot be used; the text says why, in the user's words."""


@dataclass(frozen=True)
class Decoded:
    """An upright RGB picture.

    image: RGB, possibly smaller than the file (scale = image width / file width).
    alpha: [H, W] float32 in 0..1 at the size of `image`, or None if nothing is transparent.
    full_size: (width, height) of the upright file in pixels.
    """

    image: Image.Image
    alpha: FloatArray | None
    full_size: tuple[int, int]


def printable(text: str) -> str:
    """Escape everything a terminal could act on (controls, bidi marks, lone surrogates)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@functools.cache
def _register_heif() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def decode(data: bytes, *, min_side: int, work_side: int) -> Decoded:
    """Decode a picture file to upright RGB, no larger than needed.

    min_side: smallest side (pixels of the file) that is accepted.
    work_side: the shorter side of the result is at least this, where the file has as much.
    Raises PhotoProblemError with the reason.
    """
    heif = _register_heif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=_formats(heif)) as opened:
                return _upright(opened, min_side=min_side, work_side=work_side)
        except PhotoProblemError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise PhotoProblemError(_too_large()) from None
        except UnidentifiedImageError:
            if not heif and data[4:8] == b"ftyp":
                raise PhotoProblemError("HEIC needs the pillow-heif package") from None
            raise PhotoProblemError("not a picture that can be read, or damaged") from None
        except MemoryError:
            raise PhotoProblemError("not enough memory to decode it") from None
        except Exception as error:  # decoders raise anything on damaged files
            reason = "truncated or damaged" if _looks_cut(error) else "damaged"
            raise PhotoProblemError(f"{reason} ({printable(str(error))[:80]})") from None


def _formats(heif: bool) -> list[str]:
    return [name for name in FORMATS if heif or name != "HEIF"]


def _too_large() -> str:
    return f"more than {MAX_PIXELS // 1_000_000} million pixels: refused before decoding"


def _looks_cut(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, EOFError) or "truncat" in text or "end of" in text or "eof" in text


def _upright(opened: Image.Image, *, min_side: int, work_side: int) -> Decoded:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise PhotoProblemError(_too_large())
    if min(width, height) < min_side:
        raise PhotoProblemError(
            f"too small: {width} x {height} pixels, the shorter side needs {min_side}"
        )
    # An aspect this long is a panorama strip or a screenshot roll: a square of it shows nothing.
    if max(width, height) > 8 * min(width, height):
        raise PhotoProblemError(f"too narrow to crop a square from: {width} x {height} pixels")
    if opened.format in ("JPEG", "MPO"):
        scale = work_side / min(width, height)
        if scale < 1:  # the JPEG decoder itself skips the detail nobody will see
            opened.draft(None, (int(width * scale), int(height * scale)))
    opened.load()  # the first frame of an animation or a multi-page file
    profile = opened.info.get("icc_profile")
    image = ImageOps.exif_transpose(opened)
    turned = (image.width > image.height) != (opened.width > opened.height)
    full_size = (height, width) if turned else (width, height)
    image, alpha = _split_alpha(_eight_bit(image), work_side)
    return Decoded(_to_srgb(image, profile), alpha, full_size)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float greys into 0..255; other modes pass through."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    limit = next((x for x in (1.0, 255.0, 65535.0) if top <= x), top)
    if image.mode.startswith("I"):
        limit = max(limit, 65535.0)
    return Image.fromarray((np.clip(values / limit, 0, 1) * 255 + 0.5).astype(np.uint8))


def _split_alpha(image: Image.Image, work_side: int) -> tuple[Image.Image, FloatArray | None]:
    """Shrink to the working size and flatten transparency on neutral grey."""
    if not image.has_transparency_data:
        if image.mode in ("1", "P"):
            image = image.convert("RGB")
        return _shrink(image, work_side), None
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    low, high = alpha.getextrema()
    if high == 0:
        raise PhotoProblemError("fully transparent")
    flat = Image.new("RGB", rgba.size, NEUTRAL)
    flat.paste(rgba.convert("RGB"), mask=alpha)
    flat = _shrink(flat, work_side)
    if low == 255:
        return flat, None
    soft = np.asarray(alpha.resize(flat.size, Image.Resampling.BOX), dtype=np.float32) / 255
    return flat, soft


def _shrink(image: Image.Image, work_side: int) -> Image.Image:
    scale = work_side / min(image.size)
    if scale > 0.75:  # too little to gain
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert to sRGB where the file says what its colours mean (phones write Display P3)."""
    if isinstance(profile, bytes) and profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, _srgb(), outputMode="RGB", renderingIntent=ImageCms.Intent.PERCEPTUAL
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None  # a broken profile is no reason to refuse the picture
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def read(path: Path) -> bytes:
    """The file's bytes; PhotoProblemError if it cannot be read or is far too large."""
    if not path.is_file():  # a pipe or a device could be waited on for ever
        raise PhotoProblemError("not a regular file")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PhotoProblemError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise PhotoProblemError(f"cannot be read ({error.strerror or 'I/O error'})") from None
    if not data:
        raise PhotoProblemError("empty file")
    return data
