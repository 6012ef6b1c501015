"""A backup is the store at one moment, whole or not there; restoring checks it first."""

import shutil
from pathlib import Path

import pytest

from store import ResourceError, Store, StoreBusyError, StoreCorruptError, UsageError
from store.backup import backup, restore
from store.lock import WriterLock
from store.verify import verify, verify_home
from tests.store.helpers import BASE, learn, state
from tests.store.test_corruption import flip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "home", BASE) as made:
        learn(made, "V1", 1)
        learn(made, "V2", 2)
        made.commit_rm("V1")
        made.undo()
        made.update_metrics("1", {"fidelity": 0.9})
        (made.work_dir / "checkpoint").write_bytes(b"x" * 1000)
    return tmp_path / "home"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_backup_is_a_store_like_the_first(home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "backup"
    with Store.open(home) as store:
        (home / "tmp" / "draft").write_bytes(b"half")
        copied = backup(store, dest)
        expected, sessions = state(store), store.all_sessions()
    assert copied.sessions == 4 and copied.blobs == 6
    assert verify_home(dest, data=True) == []
    with Store.open(dest, write=True) as copy:
        assert state(copy) == expected and copy.all_sessions() == sessions
        assert copy.session("1").metrics == {"fidelity": 0.9}
        learn(copy, "V3", 3)
    names = {name.split("/")[0] for name in files(dest)}
    assert names == {"format.json", "lock", "records", "blobs", "sessions"}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_backup_may_be_made_while_a_session_learns(home: Path, tmp_path: Path) -> None:
    with Store.open(home, write=True) as writer, Store.open(home) as reader:
        learn(writer, "V3", 3)
        backup(reader, tmp_path / "backup")
        learn(writer, "V4", 4)
    with Store.open(tmp_path / "backup") as copy:
        assert [c.token for c in copy.concepts()] == ["V1", "V2", "V3"]


def test_places_that_are_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    with Store.open(home) as store:
        for dest in (tmp_path / "full", tmp_path / "file", home / "backup", home):
            with pytest.raises(UsageError):
                backup(store, dest)
        (tmp_path / "empty").mkdir()
        backup(store, tmp_path / "empty")
        partial = tmp_path / ".other.partial"
        partial.mkdir()
        lock = WriterLock(partial / "lock")
        with pytest.raises(StoreBusyError):
            backup(store, tmp_path / "other")
        lock.release()
        (partial / "blobs").mkdir()
        (partial / "blobs" / "left").touch()
        backup(store, tmp_path / "other")
    assert verify_home(tmp_path / "other", data=True) == []
    assert not (tmp_path / "other" / "blobs" / "left").exists()


def test_damage_is_named_and_there_is_no_backup(home: Path, tmp_path: Path) -> None:
    for path in sorted((home / "blobs").rglob("*/*")):
        good = path.read_bytes()
        flip(path, len(good) // 2)
        with Store.open(home) as store, pytest.raises(StoreCorruptError, match=path.name):
            backup(store, tmp_path / "backup")
        path.unlink()
        with Store.open(home) as store, pytest.raises(StoreCorruptError, match=path.name):
            backup(store, tmp_path / "backup")
        path.write_bytes(good)
        assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_damaged_session_file_does_not_get_into_the_backup(home: Path, tmp_path: Path) -> None:
    for path in (home / "sessions").iterdir():
        flip(path, 30)
    with Store.open(home) as store:
        backup(store, tmp_path / "backup")
    assert verify_home(tmp_path / "backup", data=True) == []


def test_a_disk_without_room_says_how_much_is_missing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5000))
    with Store.open(home) as store, pytest.raises(ResourceError) as error:
        backup(store, tmp_path / "backup")
    assert "5.0 kB free" in error.value.message and "missing" in error.value.message
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_restoring_where_nothing_is(home: Path, tmp_path: Path) -> None:
    with Store.open(home) as store:
        backup(store, tmp_path / "backup")
        expected = state(store)
    before = files(tmp_path / "backup")
    for place in (tmp_path / "new" / "home", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        _, aside = restore(tmp_path / "backup", place)
        assert aside is None
        with Store.open(place, write=True) as store:
            assert state(store) == expected and verify(store, data=True) == []
    after = files(tmp_path / "backup")
    assert {k: v for k, v in after.items() if "lock" not in k} == {
        k: v for k, v in before.items() if "lock" not in k
    }


def test_restoring_over_a_store_moves_it_aside_on_request_only(home: Path, tmp_path: Path) -> None:
    with Store.open(home, write=True) as store:
        backup(store, tmp_path / "backup")
        old = state(store)
        learn(store, "V3", 3)
        new = state(store)
        with pytest.raises(UsageError, match="learned") as error:
            restore(tmp_path / "backup", home)
        assert "--replace" in error.value.hint and state(store) == new
        with pytest.raises(StoreBusyError):
            restore(tmp_path / "backup", home, replace=True)
        assert state(store) == new
    _, aside = restore(tmp_path / "backup", home, replace=True)
    assert aside is not None and aside.parent == home.parent
    with Store.open(home) as store:
        assert state(store) == old
    with Store.open(aside, write=True) as store:
        assert state(store) == new and verify(store, data=True) == []
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_an_empty_store_gives_way_and_a_foreign_folder_does_not(home: Path, tmp_path: Path) -> None:
    with Store.open(home) as store:
        backup(store, tmp_path / "backup")
    Store.create(tmp_path / "fresh", BASE).close()
    _, aside = restore(tmp_path / "backup", tmp_path / "fresh")
    assert aside is not None and Store.exists(aside)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="not empty"):
        restore(tmp_path / "backup", tmp_path / "foreign", replace=True)
    with pytest.raises(UsageError):
        restore(home, home)


def test_a_damaged_backup_is_refused_and_changes_nothing(home: Path, tmp_path: Path) -> None:
    with Store.open(home) as store:
        backup(store, tmp_path / "backup")
    before = files(home)
    for path in sorted(p for p in (tmp_path / "backup").rglob("*") if p.is_file()):
        if path.name.startswith("lock"):
            continue
        good = path.read_bytes()
        flip(path, len(good) // 2, 0x20)
        found = verify_home(tmp_path / "backup", data=True)
        if found:  # a bit of format.json that only people read, or of a free page, is no damage
            with pytest.raises(StoreCorruptError, match="backup is damaged"):
                restore(tmp_path / "backup", home, replace=True)
        else:
            assert path.name in ("format.json", "data.mdb"), path
        path.write_bytes(good)
    assert {k: v for k, v in files(home).items() if "lock" not in k} == {
        k: v for k, v in before.items() if "lock" not in k
    }
