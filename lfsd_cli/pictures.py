"""Where generated pictures go: file names and the grid."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_FOLDER = Path("lfsd-out")
GAP = 4


def slug(prompt: str) -> str:
    """A prompt as a file name: `a V1 cat on a beach` -> `a-V1-cat-on-a-beach`."""
    return re.sub(r"[^A-Za-z0-9]+", "-", prompt).strip("-")[:60].rstrip("-") or "picture"


def plan_paths(out: Path | None, prompt: str, seeds: Sequence[int]) -> list[Path]:
    """One free path per seed; a file named with --out is used as it is, for one picture."""
    if out is not None and out.suffix.lower() == ".png" and len(seeds) == 1:
        return [out]
    if out is not None and out.suffix.lower() == ".png":
        return _free(out.parent / f"{out.stem}-{seed}.png" for seed in seeds)
    folder = out or DEFAULT_FOLDER
    return _free(folder / f"{slug(prompt)}-{seed}.png" for seed in seeds)


def grid_path(paths: Sequence[Path]) -> Path:
    """A free path for the grid of `paths`, beside them."""
    first = paths[0]
    stem = re.sub(r"-\d+(?:-\d+)?$", "", first.stem)
    return _free([first.with_name(f"{stem}-grid.png")])[0]


def grid(pictures: Sequence["Image"]) -> "Image":
    """All pictures (one size) on one sheet, as square as their number allows."""
    from PIL import Image

    columns = next(n for n in range(1, len(pictures) + 1) if n * n >= len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = pictures[0].size
    size = (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, (255, 255, 255))
    for i, picture in enumerate(pictures):
        x, y = i % columns, i // columns
        sheet.paste(picture, (GAP + x * (width + GAP), GAP + y * (height + GAP)))
    return sheet


def _free(paths: Iterable[Path]) -> list[Path]:
    """The paths, with `-2`, `-3`, ... where a file of that name exists: nothing is overwritten."""
    chosen: list[Path] = []
    for path in paths:
        candidate, number = path, 2
        while candidate.exists() or candidate in chosen:
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
            number += 1
        chosen.append(candidate)
    return chosen
