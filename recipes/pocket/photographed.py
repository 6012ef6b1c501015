"""Photographed animals and things, cut out of whole pictures: Debian's `gcompris-qt-data` holds them in Qt's resource files.

The cutting is ours (`recipes.pocket.cutting`), picture by picture; those that it cut badly are not listed here.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from recipes.pocket.cutting import cut_out

#: resource file -> {stem of a picture in it: what it shows}
PICTURES: dict[str, dict[str, str]] = {
    "erase": {
        "butterfly": "butterfly", "caterpillar": "caterpillar", "cheetah": "cheetah", "crab": "crab", "giraffe": "giraffe",
        "goat": "goat", "gorilla": "gorilla", "gosling": "gosling", "heron": "heron", "horse": "brown horse", "kingfisher": "kingfisher bird",
        "kitten": "kitten cat", "long_nosed_monkey": "monkey", "macaque": "monkey", "northern_harrier": "hawk", "nubian_ibex": "goat",
        "penguin": "penguin", "red_panda": "red panda", "rhinoceros": "rhinoceros",
    },
    "explore_farm_animals": {
        "cat": "cat", "chicken": "chickens", "cow": "cow", "dog": "shepherd dog", "duck": "white duck", "horse": "horses", "owl": "owl",
        "pig": "pig", "sheep": "sheep",
    },
    "explore_world_animals": {
        "bison": "bison", "dragon": "lizard", "hedgehog": "hedgehog", "kangaroo": "kangaroo", "koala": "koala", "lemur": "lemurs",
        "moose": "moose", "panda": "panda", "polar_bear": "polar bear", "scarlet_macaw": "red parrot",
    },
    "categorization": {
        "fish1": "striped fish", "fish12": "fish", "fish15": "fish", "fish16": "fish", "fish18": "fish", "fish19": "fish", "fish2": "fish",
        "fish23": "fish", "fish25": "goldfish", "fish28": "fish", "fish8": "fish", "baseball": "baseball", "bucket": "bucket", "cup": "teacup",
        "bulb": "light bulb", "pan": "pan", "plate": "plate", "volleyball": "volleyball",
    },
}  # fmt: skip


def resources(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file inside a Qt resource file (.rcc, version 2 or later): its path and its content.

    Raises ValueError for another file or a way of packing that is not zlib's.
    """
    raw = path.read_bytes()

    def number(form: str, at: int) -> int:
        return int(struct.unpack_from(f">{form}", raw, at)[0])

    if raw[:4] != b"qres" or number("I", 4) < 2:
        raise ValueError(f"{path}: not a Qt resource file of version 2 or later")
    tree, data, names = (number("I", at) for at in (8, 12, 16))

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + 22 * node
        flags = number("H", at + 4)
        name = names + number("I", at)
        text = raw[name + 6 : name + 6 + 2 * number("H", name)].decode("utf-16-be") if node else ""
        if flags & 2:
            first = number("I", at + 10)
            for child in range(first, first + number("I", at + 6)):
                yield from walk(child, f"{folder}{text}/")
            return
        start = data + number("I", at + 10)
        content = raw[start + 4 : start + 4 + number("I", start)]
        if flags & 4:
            raise ValueError(f"{path}: {folder}{text} is packed with zstd")
        yield f"{folder}{text}", zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


def photographed(root: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """For every listed picture its `file-stem`, what it shows, and it as a cut-out (RGBA)."""
    for file, wanted in PICTURES.items():
        for name, content in resources(root / f"usr/share/gcompris-qt/rcc/{file}.rcc"):
            stem = Path(name).stem
            if stem in wanted and Path(name).suffix in (".webp", ".jpg"):
                with Image.open(io.BytesIO(content)) as picture:
                    yield f"{file}-{stem}", wanted[stem], cut_out(picture.convert("RGB"))
