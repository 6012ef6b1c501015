"""Carrying out a repair: each step leaves the store no worse than it was."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from store import commit
from store.blobs import Blobs
from store.collected import write_marks
from store.env import Records, Table, nobody_reads
from store.errors import StoreCorruptError
from store.files import disk_errors, fsync_folder, make_folder, stamp, sweep
from store.pages import walk
from store.reading import INFO
from store.schema import write_format

if TYPE_CHECKING:
    from store.repair import Plan


def mend(home: Path, plan: "Plan") -> Path | None:
    """Do what a plan says; returns the folder of the broken things, if there are any.

    The caller holds the writer lock.
    """
    for name in ("records", "blobs", "sessions", "tmp", "work"):
        make_folder(home / name)
    sweep(home / "tmp")
    if plan.rebuild:
        with nobody_reads(home / "records"):  # said before anything is touched
            pass
    aside = home / "aside" / stamp()
    make_folder(aside)
    with disk_errors("repairing", home):
        for sha, path in plan.from_trash.items():
            folder = home / "blobs" / sha[:2]
            make_folder(folder)
            if (folder / sha).exists():
                _move_aside(home, folder / sha, aside)
            path.replace(folder / sha)
            fsync_folder(folder)
        for path in plan.aside:
            if path.exists() and path.name not in plan.from_trash:
                _move_aside(home, path, aside)
    if plan.write_marks:
        write_marks(home, plan.marks)
    for session in plan.write_files:
        commit.write_session_file(home, session, home / "tmp")
    if plan.rebuild:
        _rebuild(home, plan, aside)
    if plan.write_format:
        if (home / "format.json").exists():
            _move_aside(home, home / "format.json", aside)
        write_format(home, plan.info, home / "tmp")
    if any(path.is_file() for path in aside.rglob("*")):
        return aside
    with disk_errors("repairing", home):
        aside.rmdir()
    return None


def _move_aside(home: Path, path: Path, aside: Path) -> None:
    target = aside / path.relative_to(home)
    make_folder(target.parent)
    path.replace(target)
    fsync_folder(target.parent)
    fsync_folder(path.parent)


def _rebuild(home: Path, plan: "Plan", aside: Path) -> None:
    """Build the records from the sessions, and put them in place of the old file by one rename."""
    draft = home / "tmp" / f"records.{stamp()}"
    make_folder(draft)
    records = Records.open(draft, create=True)
    try:
        with records.write() as txn:
            txn.put(Table.META, INFO, plan.info)
            for session in plan.sessions:
                commit.put_session(txn, session)
            known = {session.id for session in plan.sessions}
            for name, metrics in plan.metrics.items():
                if name in known:
                    txn.put(Table.METRICS, name.encode(), metrics)
            commit.move_head(txn, plan.head, Blobs(home / "blobs", home / "tmp").size)
    finally:
        records.close()
    if problems := walk(draft / "data.mdb"):
        raise StoreCorruptError(f"the new records are damaged: {problems[0]}", "check the disk")
    folder = home / "records"
    with disk_errors("replacing the records in", folder), nobody_reads(folder):
        if (folder / "data.mdb").exists():
            make_folder(aside / "records")
            # A second name, not a move: there is a records file at every moment.
            _second_name(folder / "data.mdb", aside / "records" / "data.mdb")
            fsync_folder(aside / "records")
        (draft / "data.mdb").replace(folder / "data.mdb")
        fsync_folder(folder)
    shutil.rmtree(draft, ignore_errors=True)  # the next writer sweeps up what is left


def _second_name(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:  # a file system without links
        shutil.copy2(path, other)
