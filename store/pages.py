"""The records file as it lies on the disk, looked at without LMDB.

LMDB maps its file and trusts what stands there: a page number or a length that leads behind the
end of the file ends the process with a signal. So the file is checked before LMDB sees it.
"""

import os
import struct
from contextlib import suppress
from pathlib import Path

from lmdb import verify as lmdb_verify

from store.errors import StoreBusyError, StoreCorruptError
from store.files import disk_errors
from store.text import byte_count, printable

# Every page of a file up to this size is walked whenever it is opened (about 5 ms per 100
# concepts); a longer one by writers and by `verify`, so that reading costs the same for any size.
WALKED_ON_OPEN = 2 << 20
_ATTEMPTS = 20


def check_before_opening(path: Path, *, whole: bool) -> None:
    """Refuse a records file that could crash LMDB: truncated, foreign, or with damaged pages.

    `whole`: whatever its size, every page is looked at.
    """
    check_meta_pages(path)
    with disk_errors("opening", path):
        size = path.stat().st_size
    if size > WALKED_ON_OPEN and not whole:
        return
    with suppress(StoreBusyError):
        if problems := walk(path):
            raise StoreCorruptError(
                f"{_shown(path)} is damaged: {problems[0]}", "see all of it: lfsd store verify"
            )


def walk(path: Path) -> list[str]:
    """Return what is wrong with the structure of a records file; it is read, never mapped.

    A writer may be at work: it writes pages that the newest meta page does not lead to, so a
    finding counts only if the same meta page was the newest before and after. StoreBusyError if
    the writer commits faster than the file can be read.
    """
    for _ in range(_ATTEMPTS):
        before = _newest_transaction(path)
        problems = _walk_once(path)
        if not problems or _newest_transaction(path) == before:
            return problems
    raise StoreBusyError(f"{_shown(path)} changes faster than it can be checked", "try again")


def lengthen(path: Path, pages: int) -> None:
    """Give a file the length its meta page says, so that opening it needs no walk."""
    with suppress(OSError):  # a courtesy: without it opening takes longer, nothing else
        page_size = os.sysconf("SC_PAGE_SIZE")
        if path.stat().st_size < pages * page_size:
            os.truncate(path, pages * page_size)


def _walk_once(path: Path) -> list[str]:
    try:
        return list(lmdb_verify.verify(str(path)))
    except (lmdb_verify.VerifyError, OSError) as error:
        return [str(error)]


def _newest_transaction(path: Path) -> int | None:
    with disk_errors("opening", path), path.open("rb") as file:
        pages = _metas(file.read(1 << 17))
    return max(txn for txn, _, _ in pages) if pages else None


def check_meta_pages(path: Path) -> None:
    """Refuse a records file whose meta pages cannot be read, or that lacks pages in use."""
    with disk_errors("opening", path):
        with path.open("rb") as file:
            head = file.read(1 << 17)
            # After the read: a writer beside us lengthens the file before it says so in the head.
            size = os.fstat(file.fileno()).st_size
    metas = _metas(head)
    if not metas:
        raise StoreCorruptError(
            f"{_shown(path)} is not a records file: its first pages cannot be read"
        )
    _, page_size, last = max(metas)
    if size >= (last + 1) * page_size:
        return
    # Pages that a transaction took and gave back are never written: at the end of the file their
    # absence is no damage. The walk knows which pages are in use.
    with suppress(StoreBusyError):
        if not walk(path):
            return
        raise StoreCorruptError(
            f"{_shown(path)} is truncated: {byte_count(size)} of "
            f"{byte_count((last + 1) * page_size)}"
        )


def _metas(head: bytes) -> list[tuple[int, int, int]]:
    """Read (transaction, page size, last page number) of both meta pages (LMDB 0.9), or []."""

    def meta(offset: int) -> tuple[int, int, int] | None:
        # Page header 16 bytes; magic, version, address, map size; two 48-byte trees, the first
        # word of the first is the page size; last page number, transaction number.
        try:
            magic, version = struct.unpack_from("=II", head, offset + 16)
            (page_size,) = struct.unpack_from("=I", head, offset + 40)
            last, txn = struct.unpack_from("=QQ", head, offset + 136)
        except struct.error:
            return None
        plausible = magic == 0xBEEFC0DE and version == 1 and 256 <= page_size <= 1 << 15
        return (txn, page_size, last) if plausible and not page_size & (page_size - 1) else None

    first = meta(0)
    second = meta(first[1]) if first else None
    if first is None or second is None or first[1] != second[1]:
        return []
    return [first, second]


def _shown(path: Path) -> str:
    return printable(str(path), 300)
