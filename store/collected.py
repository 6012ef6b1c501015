"""What is absent on purpose: blobs that were collected to make room, or given up in a repair.

One small sealed file beside the records. It is written before such a blob leaves its place, so a
blob that is missing without being named here is damage.
"""

from pathlib import Path

from store.codec import seal, unseal
from store.errors import NotFoundError, StoreCorruptError
from store.files import disk_errors, make_folder, write_file
from store.text import printable

FILE = "collected"
LOST = "lost "
_PLACE = b"collected"


def read_marks(home: Path) -> dict[str, str]:
    """Return blob -> why and when it went; {} where nothing ever did."""
    path = home / FILE
    with disk_errors("reading", path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return {}
    try:
        return unseal(_PLACE, data, dict[str, str])
    except StoreCorruptError as error:
        raise StoreCorruptError(f"{printable(str(path), 300)}: {error.message}") from error


def write_marks(home: Path, marks: dict[str, str]) -> None:
    """Replace the file, durably; nothing is written where nothing changed."""
    if (home / FILE).exists() or marks:
        make_folder(home / "tmp")
        write_file(home / FILE, seal(_PLACE, marks), home / "tmp")


def explain(home: Path, sha: str, what: str = "") -> None:
    """Raise NotFoundError if a blob that is not in its place was taken away on purpose."""
    why = read_marks(home).get(sha)
    if why is None:
        return
    raise NotFoundError(
        f"{what or f'blob {sha[:12]}'} is not in the store any more: {printable(why)}",
        "look for it in a backup"
        if why.startswith(LOST)
        else "bring it back, if the trash has it still: lfsd store gc --restore",
    )
