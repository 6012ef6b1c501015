"""Reading what can be read of a damaged records file, in a process that may die of it.

LMDB follows damaged pages wherever they lead, which can end the process with a signal. So a child
reads and passes on each record raw, and the parent takes what came, checksum by checksum.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import lmdb

from store.codec import unseal
from store.env import Table, place
from store.errors import StoreCorruptError
from store.files import disk_errors

T = TypeVar("T")

SECONDS = 600.0
_HEADER = struct.Struct(">III")


class Salvaged:
    """The raw records that could be read, and what is known to be wrong with the rest."""

    def __init__(self) -> None:
        self.raw: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}
        self.problems: list[str] = []

    def get(self, table: Table, key: bytes, kind: type[T]) -> T | None:
        """Decode one record; None if it is not there or fails its checksum, which is noted."""
        value = self.raw[table].get(key)
        if value is None:
            return None
        try:
            return unseal(place(table, key), value, kind)
        except StoreCorruptError as error:
            self.problems.append(error.message)
            return None

    def items(self, table: Table, kind: type[T]) -> Iterator[tuple[bytes, T]]:
        """Decode what can be decoded of a table."""
        for key in self.raw[table]:
            record = self.get(table, key, kind)
            if record is not None:
                yield key, record


def salvage(folder: Path) -> Salvaged:
    """Read every record of the environment in `folder` that LMDB can still find."""
    found = Salvaged()
    package = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    with disk_errors("reading", folder):
        child = subprocess.Popen(
            [sys.executable, "-m", "store.salvage", str(folder)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
    try:
        out, _ = child.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        out, _ = child.communicate()
    tables = list(Table)
    at = 0
    while at + _HEADER.size <= len(out):
        number, key_size, size = _HEADER.unpack_from(out, at)
        at += _HEADER.size
        if number >= len(tables) or at + key_size + size > len(out):
            break
        key = out[at : at + key_size]
        found.raw[tables[number]][key] = out[at + key_size : at + key_size + size]
        at += key_size + size
    if child.returncode != 0:
        found.problems.append("the records file cannot be read to its end")
    return found


def _dump(folder: str) -> int:
    """Write every record to stdout; anything may happen here."""
    env = lmdb.open(folder, max_dbs=len(Table), readonly=True, lock=False, create=False)
    failed = 0
    for number, table in enumerate(Table):
        try:
            handle = env.open_db(table.value, create=False)
            with env.begin(db=handle) as txn, txn.cursor() as cursor:
                for key, value in cursor:
                    sys.stdout.buffer.write(_HEADER.pack(number, len(key), len(value)))
                    sys.stdout.buffer.write(key + value)
            sys.stdout.buffer.flush()
        except lmdb.Error:
            failed = 1
    return failed


if __name__ == "__main__":
    try:
        sys.exit(_dump(sys.argv[1]))
    except lmdb.Error:
        sys.exit(1)
