"""Making a store: folders, session 0, and the format file as the very last step."""

import secrets
from pathlib import Path

import msgspec

from store import commit
from store.env import Records, Table
from store.errors import LfsdError, StoreCorruptError, UsageError
from store.files import disk_errors, fsync_folder, is_file, make_folder, sweep
from store.reading import INFO
from store.records import BaseRef
from store.schema import FORMAT_FILE, SCHEMA, StoreInfo, write_format
from store.text import printable

FOLDERS = ("records", "blobs", "sessions", "tmp", "work")


def is_store(home: Path) -> bool:
    """Say whether there is a store in a folder."""
    return is_file(home / FORMAT_FILE)


def refuse_existing(home: Path) -> None:
    """Refuse to make a store where one is."""
    if is_store(home):
        raise UsageError(
            f"there is a store in {printable(str(home), 300)} already",
            "use it as it is, or choose another folder with --home",
        )


def lay_out(home: Path, base: BaseRef, versions: dict[str, str]) -> None:
    """Make the folders, commit session 0, and write the format file last.

    Starting over after a creation that was cut short is safe; StoreCorruptError if there are
    sessions here that a store without its format file would hide.
    """
    for name in FOLDERS:
        make_folder(home / name)
    sweep(home / "tmp")
    _refuse_orphans(home)
    info = StoreInfo(SCHEMA, secrets.token_hex(8), commit.now(), base)
    init = commit.new_session(
        None, "init", versions=versions,
        settings={"store": info.id, "schema": SCHEMA, "base": msgspec.to_builtins(base)},
    )  # fmt: skip
    commit.write_session_file(home, init, home / "tmp")
    records = Records.open(home / "records", create=True)
    try:
        with records.write() as txn:
            for table in Table:
                txn.clear(table)
            txn.put(Table.META, INFO, info)
            commit.append(txn, init, lambda _: 0)
        with disk_errors("making the records in", home):
            fsync_folder(home / "records")
    finally:
        records.close()
    write_format(home, info, home / "tmp")


def _refuse_orphans(home: Path) -> None:
    data = home / "records" / "data.mdb"
    if not data.exists():
        return
    try:
        records = Records.open(data.parent)
        try:
            with records.read() as txn:
                learned = txn.count(Table.SESSIONS) > 1
        finally:
            records.close()
    except LfsdError:
        # Cut short while the records were being made; blobs come after, so they tell.
        learned = next((home / "blobs").rglob("*/*"), None) is not None
        if not learned:
            for file in (data, data.with_name("lock.mdb")):
                file.unlink(missing_ok=True)
    if learned:
        raise StoreCorruptError(
            f"{printable(str(home), 300)} holds sessions but its {FORMAT_FILE} is missing",
            "put the file back from a backup; nothing was changed",
        )
