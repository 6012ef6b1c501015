"""A folder of phone photos becomes checked, upright, square pictures with a subject mask."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from lfsd.crop import TIGHTEST_CROP, choose_crop, rescaled
from lfsd.errors import PhotosRefusedError, UsageError
from lfsd.exposure import brightened, lift
from lfsd.mask_shapes import refine_mask
from lfsd.photo_files import (
    SUFFIXES,
    Decoded,
    FloatArray,
    PhotoProblemError,
    decode,
    printable,
    read,
)
from lfsd.saliency import subject_masks
from store.records import Refusal

NEAR_DUPLICATE_BITS = 5  # of 64; re-saved and slightly cropped copies differ by 0 to 4
CAPTION_CHARACTERS = 300
MAX_FILES = 100


@dataclass(frozen=True)
class PreparedPhoto:
    """One photo as the model will see it.

    image: RGB, resolution x resolution. mask: [resolution, resolution] float32, 1 = subject.
    crop: (left, top, right, bottom) in pixels of the upright photo. caption: one line or None.
    """

    path: Path
    name: str
    sha256: str
    image: Image.Image
    crop: tuple[int, int, int, int]
    mask: FloatArray
    caption: str | None


@dataclass(frozen=True)
class Intake:
    """What came out of the door: photos to use, files refused, things worth saying."""

    photos: list[PreparedPhoto]
    refused: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Opened:
    path: Path
    sha256: str
    decoded: Decoded
    caption: str | None


def intake(
    paths: Sequence[Path],
    *,
    resolution: int,
    captions: Path | None = None,
    class_noun: str = "",
    strict: bool = False,
    brighten: bool = True,
) -> Intake:
    """Check, turn upright, crop and mask every photo in `paths` (files and folders' top level).

    resolution: side of the square result in pixels.
    captions: folder of `<stem>.txt` side-cars; each photo's own folder by default.
    class_noun: what the photos show; captions that do not name it are warned of.
    strict: raise PhotosRefusedError at the first look if any file is refused.
    brighten: lift underexposed photos.
    Raises UsageError if a path is missing or no photo can be used.
    """
    if captions is not None and not captions.is_dir():
        raise UsageError(
            f"{printable(str(captions))} is not a folder of captions",
            hint="--captions takes the folder that holds <photo name>.txt files",
        )
    refused: list[Refusal] = []
    warnings: list[str] = []
    files = _find(paths, refused, warnings)
    opened = _open_all(files, resolution, captions, refused, warnings)
    if strict and refused:
        raise _strict_error(refused)
    if not opened:
        raise _nothing_usable(paths, refused)
    _check_captions(opened, captions, class_noun, warnings)
    return Intake(_prepare(opened, resolution, warnings, brighten=brighten), refused, warnings)


def _find(paths: Sequence[Path], refused: list[Refusal], warnings: list[str]) -> list[Path]:
    """Files named on the command line and those in the top level of named folders, in order."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _in_folder(path, refused, warnings)
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(
                f"{printable(str(path))} does not exist", hint="name photo files or their folder"
            )
    by_place: dict[Path, Path] = {}
    for path in found:
        by_place.setdefault(path.resolve(), path)
    unique = list(by_place.values())
    if len(unique) > MAX_FILES:
        raise UsageError(
            f"{len(unique)} pictures is not a few: {MAX_FILES} is the limit",
            hint="a subject needs 3 to 10 photos; name those",
        )
    return unique


def _in_folder(folder: Path, refused: list[Refusal], warnings: list[str]) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"{printable(str(folder))} cannot be read ({error.strerror})", hint="check its rights"
        ) from None
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry for entry in visible if not entry.is_dir()]
    pictures = [entry for entry in files if entry.suffix.lower() in SUFFIXES]
    stems = {entry.stem for entry in pictures}
    for entry in files:
        sidecar = entry.suffix.lower() == ".txt" and entry.stem in stems
        if entry.suffix.lower() not in SUFFIXES and not sidecar:
            refused.append(Refusal(printable(entry.name), "not a picture file"))
    folders = [printable(entry.name) for entry in visible if entry.is_dir()]
    if folders:
        shown = ", ".join(folders[:3]) + (", ..." if len(folders) > 3 else "")
        warnings.append(f"folders inside {printable(folder.name)} are not searched: {shown}")
    return pictures


def _open_all(
    files: Sequence[Path],
    resolution: int,
    captions: Path | None,
    refused: list[Refusal],
    warnings: list[str],
) -> list[_Opened]:
    """Decode what can be used; refuse exact copies, warn of near ones."""
    opened: list[_Opened] = []
    hashes: list[int] = []
    seen: dict[str, str] = {}
    smallest = max(32, resolution // 2)
    for path in files:
        name = printable(path.name)
        try:
            data = read(path)
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 in seen:
                raise PhotoProblemError(f"the same file as {seen[sha256]}")
            decoded = decode(data, min_side=smallest, work_side=_work_side(resolution))
        except PhotoProblemError as problem:
            refused.append(Refusal(name, str(problem)))
            continue
        seen[sha256] = name
        code = _perceptual_hash(decoded.image)
        for other, known in zip(opened, hashes, strict=True):
            if (code ^ known).bit_count() <= NEAR_DUPLICATE_BITS:
                warnings.append(
                    f"{name} looks almost the same as {printable(other.path.name)}: "
                    "different views teach more"
                )
                break
        if min(decoded.full_size) < resolution:
            width, height = decoded.full_size
            warnings.append(f"{name} is enlarged to {resolution} pixels: it has {width} x {height}")
        hashes.append(code)
        opened.append(_Opened(path, sha256, decoded, _caption(path, captions)))
    return opened


def _work_side(resolution: int) -> int:
    """Shorter side to decode at, so that the tightest crop still has `resolution` pixels."""
    return round(resolution / TIGHTEST_CROP)


def _perceptual_hash(image: Image.Image) -> int:
    """64 bits: is each cell of an 8 x 9 thumbnail brighter than its left neighbour (dHash)."""
    small = image.convert("L").resize((9, 8), Image.Resampling.BOX, reducing_gap=2.0)
    cells = np.asarray(small, dtype=np.int16)
    bits = (cells[:, 1:] > cells[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _caption(photo: Path, captions: Path | None) -> str | None:
    """The side-car's text as one clean line, or None."""
    sidecar = (captions or photo.parent) / f"{photo.stem}.txt"
    try:
        with sidecar.open("rb") as file:
            raw = file.read(64 * 1024)
    except OSError:
        return None
    text = raw.decode("utf-8-sig", errors="replace")
    line = " ".join(text.split())
    clean = "".join(c for c in line if c.isprintable() and c != "\N{REPLACEMENT CHARACTER}")
    return clean[:CAPTION_CHARACTERS].strip() or None


def _check_captions(
    opened: Sequence[_Opened], captions: Path | None, class_noun: str, warnings: list[str]
) -> None:
    texts = [(printable(photo.path.name), photo.caption) for photo in opened if photo.caption]
    if captions is not None and not texts:
        warnings.append(
            f"no caption in {printable(str(captions))} has a photo's name (<photo name>.txt)"
        )
    for name, text in texts:
        if class_noun and class_noun.casefold() not in text.casefold():
            warnings.append(f"the caption of {name} does not say {printable(class_noun)!r}")


def _prepare(
    opened: Sequence[_Opened], resolution: int, warnings: list[str], *, brighten: bool
) -> list[PreparedPhoto]:
    masks = subject_masks(
        [photo.decoded.image for photo in opened],
        [photo.decoded.alpha for photo in opened],
    )
    prepared: list[PreparedPhoto] = []
    dark: list[str] = []
    for photo, mask in zip(opened, masks, strict=True):
        width, height = photo.decoded.full_size
        crop = choose_crop(mask, (width, height), resolution)
        box = rescaled(crop, photo.decoded.full_size, photo.decoded.image.size)
        image = photo.decoded.image.resize(
            (resolution, resolution), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0
        )
        fine = _mask_of(photo.decoded, mask, box, image)
        if brighten and photo.decoded.alpha is None:  # a cut-out does not tell its light
            factor = lift(image)
            if factor > 1:
                image = brightened(image, factor)
                dark.append(printable(photo.path.name))
        prepared.append(
            PreparedPhoto(
                photo.path,
                printable(photo.path.name),
                photo.sha256,
                image,
                crop,
                fine,
                photo.caption,
            )
        )
    if dark:
        warnings.append(
            f"underexposed, so brightened: {', '.join(dark)} (not with --set brighten=false)"
        )
    return prepared


def _mask_of(
    decoded: Decoded, mask: FloatArray, box: tuple[float, float, float, float], image: Image.Image
) -> FloatArray:
    """The crop's part of the mask at the crop's size; a cut-out's alpha is used as it is."""
    source = mask if decoded.alpha is None else decoded.alpha
    box = rescaled(box, decoded.image.size, (source.shape[1], source.shape[0]))
    resized = Image.fromarray(source).resize(image.size, Image.Resampling.BILINEAR, box=box)
    part = np.asarray(resized, dtype=np.float32)
    if decoded.alpha is None:
        part = refine_mask(image, part)
    return np.clip(part, 0.0, 1.0)


def _strict_error(refused: Sequence[Refusal]) -> PhotosRefusedError:
    first = refused[0]
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return PhotosRefusedError(
        f"{first.file}{more} refused: {first.reason}", hint="leave it out, or drop --strict"
    )


def _nothing_usable(paths: Sequence[Path], refused: Sequence[Refusal]) -> UsageError:
    where = ", ".join(printable(str(path)) for path in paths[:3]) or "nothing"
    why = f" ({refused[0].file}: {refused[0].reason})" if refused else " (no picture files)"
    return UsageError(
        f"no usable photo in {where}{why}",
        hint="give 3 to 10 photos of one subject: JPEG, PNG, WebP, HEIC, AVIF, BMP or TIFF",
    )
