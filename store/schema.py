"""The format file: what makes a folder a store, and which schema it is written in."""

import json
from pathlib import Path
from typing import Any

import msgspec

from store.errors import NotFoundError, SchemaError, StoreCorruptError
from store.files import disk_errors, is_file, write_file
from store.records import BaseRef
from store.text import printable

SCHEMA = 1
FORMAT = "lfsd-store"
FORMAT_FILE = "format.json"


class StoreInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What never changes about a store; kept in the records and, for people, in format.json."""

    schema: int
    id: str
    created: str
    base: BaseRef


def write_format(home: Path, info: StoreInfo, tmp: Path) -> None:
    """Write format.json: the moment from which `home` is a store."""
    content = {
        "format": FORMAT, "schema": info.schema, "id": info.id, "created": info.created,
        "base": info.base.id,
    }  # fmt: skip
    write_file(home / FORMAT_FILE, json.dumps(content, indent=1).encode() + b"\n", tmp)


def check_format(home: Path) -> tuple[int, object]:
    """Return the schema and the store's id that the format file gives.

    Refuses a folder that is no store, a damaged format file, and any schema but ours.
    """
    content = read_format(home)
    check_schema(content["schema"], printable(str(home), 300))
    return content["schema"], content.get("id")


def read_format(home: Path) -> dict[str, Any]:
    """Return what the format file says, its schema whatever it is.

    NotFoundError for a folder that is no store, StoreCorruptError for a damaged file.
    """
    path = home / FORMAT_FILE
    where = printable(str(home), 300)
    if not is_file(path):
        raise NotFoundError(f"there is no store in {where}", "make one with: lfsd init")
    with disk_errors("opening", path):
        data = path.read_bytes()
    try:
        content: Any = json.loads(data)
    except ValueError as error:
        raise StoreCorruptError(f"{where}/{FORMAT_FILE} is damaged: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StoreCorruptError(f"{where}/{FORMAT_FILE} is not the format file of a store")
    schema = content.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise StoreCorruptError(f"{where}/{FORMAT_FILE} names no schema number")
    return content


def check_schema(schema: int, where: str) -> None:
    """Refuse a schema newer or older than ours by name."""
    if schema > SCHEMA:
        raise SchemaError(
            f"the store in {where} has schema {schema}; this version reads schemas up to {SCHEMA}",
            "upgrade lfsd: pip install --upgrade lfsd",
        )
    if schema < SCHEMA:
        raise SchemaError(
            f"the store in {where} has schema {schema}; this version works with schema {SCHEMA}",
            "bring it up to date, a copy of it is kept: lfsd store migrate",
        )
