"""Damaged and hostile files at every door: photos, pictures of ours, backups.

    python -m benchmarks.import_fuzz [--minutes 10] [--seed 0] [--keep FOLDER]

Each case damages a good file (bits flipped, bytes overwritten, a piece cut, doubled or taken from
another file, the end cut off, a length made huge) and hands it to the code that takes such files.
Only the errors that code documents may come back, and a damaged backup that restores must verify.
Whatever else is raised is printed with its traceback, kept under --keep, and the exit code is 1.
"""

import argparse
import io
import json
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from PIL import Image

from lfsd.errors import LfsdError
from lfsd.photos import intake
from lfsd.png import read_png, save_png
from store import Store
from store.backup import backup, restore
from store.verify import verify_home
from tests.photos.pictures import encoded, scene
from tests.store.helpers import BASE, learn

PHOTO_KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "MPO")
HUGE = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f")


def damaged(good: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """`good` with one to four things done to it."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((1, 2, 4, 16, 64, 1024))
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + size] = rng.randbytes(size)
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case 4:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                data[at : at + size] = other[start : start + size]
            case 5:
                del data[at:]
            case _:
                data[at : at + 4] = rng.choice(HUGE)
    return bytes(data)


class Doors:
    """The good files to damage, and what each kind is handed to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        picture, _ = scene(1, size=(96, 80))
        self.photos = [encoded(picture, kind) for kind in PHOTO_KINDS if can_write(kind)]
        self.photos.append(encoded(picture.convert("P"), "PNG"))
        self.photos.append(encoded(picture.convert("RGBA"), "WEBP", lossless=True))
        ours = folder / "ours.png"
        save_png(picture, {"prompt": "a V1 cat", "seed": 1, "concepts": ["V1"]}, ours)
        self.pictures = [ours.read_bytes()]
        with Store.create(folder / "home", base=BASE) as store:
            learn(store, "V1")
            learn(store, "V2", seed=2)
            backup(store, folder / "backup")
        self.case = folder
        self.kinds: dict[str, Callable[[random.Random], None]] = {
            "photo": self.photo,
            "picture": self.picture,
            "backup": self.backup,
        }

    def photo(self, rng: random.Random) -> None:
        self.case = self.folder / "case.jpg"
        self.case.write_bytes(damaged(rng.choice(self.photos), self.photos, rng))
        with suppress(LfsdError):
            intake([self.case], resolution=32)

    def picture(self, rng: random.Random) -> None:
        self.case = self.folder / "case.png"
        self.case.write_bytes(damaged(self.pictures[0], self.photos, rng))
        with suppress(LfsdError):
            read_png(self.case)

    def backup(self, rng: random.Random) -> None:
        self.case, home = self.folder / "case", self.folder / "restored"
        for stale in (self.case, home):
            shutil.rmtree(stale, ignore_errors=True)
        shutil.copytree(self.folder / "backup", self.case)
        files = [p for p in sorted(self.case.rglob("*")) if p.is_file() and p.stat().st_size]
        victim = rng.choice(files)
        parts = [p.read_bytes() for p in files]
        victim.write_bytes(damaged(victim.read_bytes(), parts, rng))
        with suppress(LfsdError):
            restore(self.case, home)
            if problems := verify_home(home, data=True):
                raise AssertionError(f"restored, and damaged: {problems[0]}")


def can_write(kind: str) -> bool:
    """Whether this Pillow was built with the format."""
    try:
        Image.new("RGB", (8, 8)).save(io.BytesIO(), kind)
    except (KeyError, OSError):
        return False
    return True


def fuzz(
    seconds: float, cases: int | None, seed: int, keep: Path | None
) -> tuple[Counter[str], int]:
    """Cases tried per kind, and how many let an undocumented error through."""
    tried, wrong, end = Counter[str](), 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        doors = Doors(Path(folder))
        while time.monotonic() < end and (cases is None or tried.total() < cases):
            number = tried.total()
            kind = ("photo", "photo", "picture", "backup")[number % 4]
            try:
                doors.kinds[kind](random.Random(f"{seed}-{number}"))
            except Exception:
                wrong += 1
                print(f"case {number} ({kind}):")
                traceback.print_exc()
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    copy = shutil.copytree if doors.case.is_dir() else shutil.copy
                    copy(doors.case, keep / f"{number}-{doors.case.name}")
            tried[kind] += 1
    return tried, wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cases", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the files that went wrong")
    args = parser.parse_args()
    tried, wrong = fuzz(args.minutes * 60, args.cases, args.seed, args.keep)
    print(json.dumps({"cases": dict(tried), "wrong": wrong}))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
