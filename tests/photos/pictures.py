"""Small synthetic photos: a coloured disc on a textured ground, drawn from a seed."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image


def scene(
    seed: int = 0,
    *,
    size: tuple[int, int] = (200, 160),
    centre: tuple[float, float] = (0.5, 0.5),
    radius: float = 0.25,
    subject: tuple[int, int, int] = (220, 60, 40),
) -> tuple[Image.Image, npt.NDArray[np.bool_]]:
    """(photo, true mask): a disc of `radius` x shorter side at `centre` (x, y in 0..1)."""
    rng = np.random.default_rng(seed)
    width, height = size
    yy, xx = np.mgrid[0:height, 0:width]
    ground = rng.integers(40, 200, 3)
    ground[0] = min(ground[0], 120)  # never as red as the subject
    coarse = Image.fromarray(rng.integers(0, 60, (6, 6), dtype=np.uint8)).resize(size)
    pixels = ground + np.asarray(coarse)[..., None] + rng.normal(0, 4, (height, width, 3))
    x, y = centre[0] * width, centre[1] * height
    disc = (xx - x) ** 2 + (yy - y) ** 2 < (radius * min(size)) ** 2
    shade = 1 - 0.2 * (yy - y) / height
    pixels[disc] = (np.array(subject) * shade[..., None] + rng.normal(0, 4, (height, width, 3)))[
        disc
    ]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), disc


def folder_of(folder: Path, count: int = 3, **kwargs: object) -> list[Path]:
    """`count` different JPEGs of the same disc."""
    paths = []
    for i in range(count):
        spot = (0.35 + 0.1 * (i % 4), 0.4 + 0.06 * (i % 3))
        photo, _ = scene(i + 1, **{"centre": spot, **kwargs})  # type: ignore[arg-type]
        paths.append(folder / f"{i:02}.jpg")
        photo.save(paths[-1], quality=92)
    return paths


def png_header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing (what a decompression bomb looks like)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file's bytes in a format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
