"""Bringing a store of an earlier schema up to date: one function per step, on a copy.

Schema 1 is the only one there has been, so there are no steps yet. A step is a function of a
folder that holds a store of schema N and leaves one of schema N+1, the schema in its records
included; `format.json` is written here. Blobs and session files are shared with the old store by
hard links: a step replaces such a file, it never writes into one.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from store.errors import SchemaError, StoreCorruptError
from store.files import disk_errors, fsync_folder, make_folder, stamp, write_file
from store.lock import WriterLock
from store.schema import FORMAT_FILE, SCHEMA, check_schema, read_format
from store.snapshot import exchange, partial_copy
from store.text import printable
from store.verify import verify_home

STEPS: Mapping[int, Callable[[Path], None]] = {}
_SHARED = ("blobs", "sessions", "trash", "aside")
_COPIED = ("records", "work")


class Migrated(msgspec.Struct, frozen=True):
    """From which schema to which, and where the store as it was is kept."""

    before: int
    after: int
    kept: str | None


def migrate(
    home: Path, *, steps: Mapping[int, Callable[[Path], None]] = STEPS, target: int = SCHEMA
) -> Migrated:
    """Bring the store in `home` to schema `target`; the store as it was stays beside it.

    All steps run on a copy that then takes the store's place in one rename. SchemaError for a newer
    schema, or an older one that no step leads away from; StoreBusyError while somebody writes.
    """
    home = home.absolute()
    schema = read_format(home)["schema"]
    if schema == target:
        return Migrated(schema, schema, None)
    where = printable(str(home), 300)
    if schema > target:
        check_schema(schema, where)
    if missing := [number for number in range(schema, target) if number not in steps]:
        raise SchemaError(
            f"the store in {where} has schema {schema}; no way leads from schema {missing[0]} on",
            "open it with the version of lfsd that made it",
        )
    aside = home.with_name(f"{home.name}.schema{schema}-{stamp()}")
    lock = WriterLock(home / "lock")
    try:
        with partial_copy(home) as partial:
            _share(home, partial)
            for number in range(schema, target):
                steps[number](partial)
            _write_schema(partial, target)
            if target == SCHEMA and (problems := verify_home(partial)):
                raise StoreCorruptError(f"the migrated copy is damaged: {problems[0]}")
            exchange(partial, home, aside)
    finally:
        lock.release()
    return Migrated(schema, target, str(aside))


def _share(home: Path, copy: Path) -> None:
    """Fill a folder with the store: what never changes by links, the rest by copies."""
    with disk_errors("copying to", copy):
        for name in (*_SHARED, *_COPIED):
            if (home / name).is_dir():
                put = _link if name in _SHARED else shutil.copy2
                shutil.copytree(home / name, copy / name, copy_function=put)
        for path in home.iterdir():
            if path.is_file() and path.name != "lock":
                shutil.copy2(path, copy / path.name)
        make_folder(copy / "tmp")
        for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
            fsync_folder(folder)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _write_schema(folder: Path, schema: int) -> None:
    content = {**read_format(folder), "schema": schema}
    data = json.dumps(content, indent=1).encode() + b"\n"
    write_file(folder / FORMAT_FILE, data, folder / "tmp")
