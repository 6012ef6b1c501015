"""Cut-outs from Qt resource files: they are read as Qt writes them, and only listed ones count."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes.pocket import early
from recipes.pocket.photographed import PICTURES, photographed, resources


def write_rcc(path: Path, folder: str, files: dict[str, bytes], packed: frozenset[str]) -> None:
    """A version 3 resource file of one folder, laid out as `rcc --binary` does."""
    names, offsets = b"", {}
    for name in ("", folder, *files):
        offsets[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    data, nodes = b"", []
    for name, content in files.items():
        stored = content
        if name in packed:
            stored = struct.pack(">I", len(content)) + zlib.compress(content)
        nodes.append(struct.pack(">IHHHIQ", offsets[name], name in packed, 0, 1, len(data), 0))
        data += struct.pack(">I", len(stored)) + stored
    tree = [
        struct.pack(">IHIIQ", 0, 2, 1, 1, 0),
        struct.pack(">IHIIQ", offsets[folder], 2, len(files), 2, 0),
        *nodes,
    ]
    head = 24
    at_data, at_names = head, head + len(data)
    at_tree = at_names + len(names)
    header = b"qres" + struct.pack(">IIIII", 3, at_tree, at_data, at_names, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + data + names + b"".join(tree))


def picture() -> bytes:
    """A white disc on grey, as WebP."""
    pixels = np.full((200, 320, 3), 90, np.uint8)
    y, x = np.mgrid[:200, :320]
    pixels[(y - 100) ** 2 + (x - 160) ** 2 < 60**2] = 240
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    return file.getvalue()


def test_resources_are_read_as_qt_packs_them(tmp_path: Path) -> None:
    files = {"a.txt": b"plain", "zoë.txt": b"small " * 40}
    write_rcc(tmp_path / "some.rcc", "folder", files, frozenset({"zoë.txt"}))
    assert dict(resources(tmp_path / "some.rcc")) == {
        "/folder/a.txt": b"plain",
        "/folder/zoë.txt": b"small " * 40,
    }


def test_another_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "some.rcc").write_bytes(b"not one at all, but long enough")
    with pytest.raises(ValueError, match=r"some\.rcc: not a Qt resource file"):
        dict(resources(tmp_path / "some.rcc"))


def test_listed_pictures_come_cut_out_and_others_stay_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.pocket.photographed.PICTURES", {"erase": {"kitten": "kitten cat"}})
    where = tmp_path / "usr/share/gcompris-qt/rcc/erase.rcc"
    files = {"kitten.webp": picture(), "kitten.svg": b"<svg/>", "shark.webp": picture()}
    write_rcc(where, "resource", files, frozenset())
    ((name, shown, cut),) = photographed(tmp_path)
    assert (name, shown) == ("erase-kitten", "kitten cat")
    alpha = np.asarray(cut.getchannel("A"))
    assert alpha[100, 160] > 200 and alpha[10, 10] < 20


def test_the_early_world_shows_only_listed_pictures() -> None:
    wanted = {name for names in early.SUBJECTS.values() for name in names}
    listed = {f"gcompris-{file}-{stem}" for file, stems in PICTURES.items() for stem in stems}
    assert {name for name in wanted if name.startswith("gcompris-")} <= listed
