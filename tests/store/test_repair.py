"""Repair rebuilds from whatever copy is left, deletes nothing, and asks before a loss."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from store import NotFoundError, SchemaError, Store, StoreBusyError, StoreCorruptError
from store.codec import CHECKSUM_BYTES
from store.collect import collect
from store.env import Table
from store.repair import repair
from store.verify import verify_home
from tests.store.helpers import BASE, learn, state
from tests.store.test_corruption import flip, poke

NOW = timedelta(0)


def make(home: Path) -> Path:
    with Store.create(home, BASE) as made:
        for n in range(1, 5):
            learn(made, f"V{n}", n)
        made.commit_rename("V2", "MAX")
        made.commit_rm("V3")
        made.undo()
    return home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make(tmp_path / "home")


def seen(home: Path) -> object:
    with Store.open(home) as store:
        return state(store), [session.id for session in store.all_sessions()]


def contents(home: Path) -> set[str]:
    """Hash every file that says something; the lock, the reader table and drafts do not."""
    return {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_file() and path.name not in ("lock", "lock.mdb") and path.parent.name != "tmp"
    }


def data(home: Path) -> Path:
    return home / "records" / "data.mdb"


def flip_record(home: Path, table: Table) -> None:
    with Store.open(home, write=True) as store:
        with store._records.read() as txn:
            key, value = next(iter(txn._txn.cursor(db=store._records._tables[table])))
        wrong = bytearray(value)
        wrong[CHECKSUM_BYTES] ^= 1
        poke(store, table, key, bytes(wrong))


def drop_record(home: Path, table: Table) -> None:
    with Store.open(home, write=True) as store:
        with store._records.read() as txn:
            key = next(iter(txn._txn.cursor(db=store._records._tables[table])))[0]
        if table is Table.SESSIONS:  # one off the line would only be missing from `log --all`
            key = store.head.id.encode()
        with store._records.write() as txn:
            txn.delete(table, key)


def flip_headers(home: Path) -> None:
    raw = bytearray(data(home).read_bytes())
    for page in range(3, len(raw) // 4096, 2):
        raw[page * 4096 + 10] ^= 0x0F
        raw[page * 4096 + 12] ^= 0x80
    data(home).write_bytes(raw)


def each_session_file(change: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda home: [change(path) for path in sorted((home / "sessions").iterdir())]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "records deleted": lambda home: data(home).unlink(),
    "records emptied": lambda home: data(home).write_bytes(b""),
    "records zeroed": lambda home: data(home).write_bytes(bytes(40_000)),
    "records cut": lambda home: data(home).write_bytes(data(home).read_bytes()[:12_000]),
    "page headers": flip_headers,
    "records folder deleted": lambda home: shutil.rmtree(home / "records"),
    "format deleted": lambda home: (home / "format.json").unlink(),
    "format cut": lambda home: (home / "format.json").write_bytes(b'{"format": "lf'),
    "format of another": lambda home: (home / "format.json").write_text(
        json.dumps({**json.loads((home / "format.json").read_bytes()), "id": "ff"})
    ),
    "session files flipped": each_session_file(lambda path: flip(path, 50)),
    "session files deleted": each_session_file(lambda path: path.unlink()),
    "format and records": lambda home: (data(home).unlink(), (home / "format.json").unlink()),
    **{f"{table.name} flipped": lambda home, t=table: flip_record(home, t)
       for table in Table if table is not Table.METRICS},
    **{f"{table.name} dropped": lambda home, t=table: drop_record(home, t)
       for table in Table if table is not Table.METRICS},
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_has_a_second_copy_is_repaired_without_loss(home: Path, damage: str) -> None:
    before = seen(home)
    with Store.open(home) as store:
        store_id, undone = store.id, store.all_sessions()[-1]
    DAMAGE[damage](home)
    try:
        assert verify_home(home, data=True) != []
    except NotFoundError:
        assert "format" in damage
    broken = contents(home)
    planned = repair(home, dry_run=True)
    assert planned.steps and not [s for s in planned.steps if s.lossy], planned.steps
    assert contents(home) == broken, "a dry run changes nothing"
    done = repair(home)
    assert done.problems == [] and verify_home(home, data=True) == []
    assert broken <= contents(home), "nothing is deleted"
    with Store.open(home, write=True) as store:
        if store.head == undone:  # the record of the head was lost: the newest session is taken
            assert any("newest" in step.what for step in done.steps)
            store.undo()
        assert store.id == store_id
    assert seen(home) == before
    assert repair(home).steps == []


def test_a_sound_store_is_left_as_it_is(home: Path) -> None:
    before = contents(home)
    done = repair(home)
    assert (done.steps, done.aside, done.problems) == ([], None, [])
    assert contents(home) == before and not (home / "aside").exists()


def test_a_lost_blob_is_asked_about(home: Path) -> None:
    with Store.open(home) as store:
        context = store.blob_path(store.concept("V1").contexts[0].latents)
        old, head = store.session("1").adapter or "", store.head
    flip(context, 20)
    before = contents(home)
    with pytest.raises(StoreCorruptError, match="would lose") as error:
        repair(home)
    assert "--allow-loss" in error.value.hint and contents(home) == before
    assert [step.lossy for step in repair(home, dry_run=True).steps] == [False, True]
    done = repair(home, allow_loss=True)
    assert done.problems == [] and before <= contents(home)
    assert done.aside is not None and (Path(done.aside) / context.relative_to(home)).exists()
    with Store.open(home) as store:
        assert store.head == head and len(store.concepts()) == 4
        with pytest.raises(NotFoundError, match="lost"):
            store.tensors(context.name)
        store.blob(old)
    assert repair(home).steps == []


def test_without_the_heads_adapter_the_nearest_session_before_is_taken(home: Path) -> None:
    with Store.open(home) as store:
        store.blob_path(store.session("4").adapter or "").unlink()
        expected = store.session("3")
    with pytest.raises(StoreCorruptError, match="lost"):
        repair(home)
    done = repair(home, allow_loss=True)
    assert done.problems == [] and any("stand at session 3" in s.what for s in done.steps)
    with Store.open(home, write=True) as store:
        assert store.head == expected
        assert len(store.all_sessions()) == 7, "later sessions are off the line, not gone"
        with pytest.raises(NotFoundError):
            store.goto("4")


def test_a_blob_comes_back_from_the_trash(home: Path) -> None:
    before = seen(home)
    with Store.open(home, write=True) as store:
        sha = store.session("1").adapter or ""
        collect(store, keep_sessions=1, grace=NOW)
        assert not store.blob_path(sha).exists()
        needed = store.head.adapter or ""
    trash = next((home / "trash").iterdir()) / "blobs"
    shutil.copy2(home / "blobs" / needed[:2] / needed, trash / needed)
    flip(home / "blobs" / needed[:2] / needed, 9)
    done = repair(home)
    assert done.problems == [] and any("from the trash" in step.what for step in done.steps)
    with Store.open(home, write=True) as store:
        store.blob(needed)
        with pytest.raises(NotFoundError, match="collected"):
            store.blob(sha)
        from store.trash import restore_trash

        restore_trash(store)
    assert seen(home)[0] == before[0]  # type: ignore[index]


def test_collected_sessions_do_not_come_back_by_themselves(home: Path) -> None:
    with Store.open(home, write=True) as store:
        store.goto("2")
        collect(store, grace=NOW)
    before = seen(home)
    data(home).unlink()
    assert repair(home).problems == []
    assert seen(home) == before


def test_the_list_of_what_was_collected_is_made_anew(home: Path) -> None:
    with Store.open(home, write=True) as store:
        collect(store, keep_sessions=1, grace=NOW)
        head, concepts = store.head, store.concepts()
    flip(home / "collected", 25)
    assert verify_home(home) != []
    done = repair(home)
    assert done.problems == [] and not any(step.lossy for step in done.steps)
    with Store.open(home) as store:
        assert (store.head, store.concepts()) == (head, concepts)


def test_a_session_that_is_nowhere_is_a_loss_with_all_that_follow(home: Path) -> None:
    with Store.open(home) as store:
        third = store.session("3").id
    (home / "sessions" / f"{third}.session").write_bytes(b"gone")
    data(home).write_bytes(bytes(9000))
    before = contents(home)
    with pytest.raises(StoreCorruptError, match="would lose"):
        repair(home)
    done = repair(home, allow_loss=True)
    assert done.problems == [] and before <= contents(home)
    with Store.open(home) as store:
        assert [c.token for c in store.concepts()] == ["V1", "V2"]


def test_what_cannot_be_repaired_says_so(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        repair(tmp_path / "nowhere")
    with Store.open(home, write=True), pytest.raises(StoreBusyError):
        repair(home)
    content = json.loads((home / "format.json").read_bytes())
    (home / "format.json").write_text(json.dumps({**content, "schema": 8}))
    with pytest.raises(SchemaError, match="schema 8"):
        repair(home)
    shutil.rmtree(home / "sessions")
    shutil.rmtree(home / "records")
    (home / "format.json").write_text(json.dumps(content))
    with pytest.raises(StoreCorruptError, match="nothing left") as error:
        repair(home, allow_loss=True)
    assert "restore" in error.value.hint
