"""Pictures as PNG files that say how they were made.

Two text chunks: `parameters`, the plain text that A1111 and ComfyUI readers show, and `lfsd`,
our own JSON. Nothing else is written: no EXIF, no profile, no time stamp.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lfsd.errors import LfsdError, NotFoundError, ResourceError

CHUNK = "lfsd"
PARAMETERS = "parameters"


def parameters_text(provenance: Mapping[str, Any]) -> str:
    """The `parameters` text in the form A1111 writes and reads.

    Prompt, then a `Negative prompt:` line if there is one, then one line of `Key: value` pairs.
    """
    lines = [_one_line(provenance.get("prompt", ""))]
    if provenance.get("negative"):
        lines.append("Negative prompt: " + _one_line(provenance["negative"]))
    pairs = {
        "Steps": provenance.get("steps"),
        "Sampler": provenance.get("sampler"),
        "CFG scale": provenance.get("guidance"),
        "Seed": provenance.get("seed"),
        "Size": provenance.get("size"),
        "Model": (provenance.get("base") or {}).get("id"),
        "Version": "lfsd " + str((provenance.get("versions") or {}).get("lfsd", "")),
    }
    lines.append(", ".join(f"{k}: {_quoted(v)}" for k, v in pairs.items() if v is not None))
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def _quoted(value: Any) -> str:
    """A1111 puts values that hold its separators in JSON quotes."""
    text = _one_line(value)
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ",:\n") else text


def save_png(image: Image.Image, provenance: Mapping[str, Any], path: Path) -> Path:
    """Write the picture atomically with its provenance; returns the path.

    Raises ResourceError when the folder cannot be written or the disk is full.
    """
    info = PngInfo()
    # add_text writes tEXt where latin-1 suffices, which more readers know, else iTXt.
    info.add_text(PARAMETERS, parameters_text(provenance))
    info.add_text(CHUNK, json.dumps(dict(provenance), sort_keys=True))
    bare = Image.frombytes("RGB", image.size, image.convert("RGB").tobytes())
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            bare.save(file, format="PNG", pnginfo=info)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}",
            hint="free some space or name another folder with --out",
        ) from error
    return path


def read_png(path: Path) -> dict[str, Any]:
    """The provenance stored in a PNG of ours, as a dict.

    Raises NotFoundError for a missing file and LfsdError for a picture without our chunk.
    """
    if not path.is_file():
        raise NotFoundError(f"no such picture: {path}")
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            text = getattr(image, "text", {}).get(CHUNK)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LfsdError(f"{path} is not a readable PNG: {error}") from error
    try:
        found = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise LfsdError(f"{path} was not made by lfsd: it carries no provenance")
    return found
