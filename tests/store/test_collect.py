"""gc takes only what no kept session needs, to a trash that gives it back whole."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from store import NotFoundError, Store, StoreCorruptError, UsageError
from store.backup import backup
from store.collect import collect, trash_folders
from store.collected import FILE
from store.trash import restore_trash
from store.verify import verify, verify_home
from tests.store.helpers import BASE, learn, state
from tests.store.test_corruption import flip

NOW = timedelta(0)


@pytest.fixture
def store(tmp_path: Path):
    with Store.create(tmp_path / "home", BASE) as made:
        for n in range(1, 5):
            learn(made, f"V{n}", n)
        yield made


def blobs(store: Store) -> set[str]:
    return {path.name for path in (store.home / "blobs").rglob("*/*")}


def test_a_store_without_waste_keeps_everything(store: Store) -> None:
    before, files = state(store), blobs(store)
    found = collect(store, grace=NOW)
    assert (found.sessions, found.blobs, found.trash) == ([], [], None)
    assert state(store) == before and blobs(store) == files
    assert not (store.home / "trash").exists()


def test_what_undo_left_behind_goes_and_comes_back(store: Store) -> None:
    everything, files, last = store.all_sessions(), blobs(store), store.head
    store.update_metrics("HEAD", {"fidelity": 0.75})
    store.undo()
    line = state(store)
    assert collect(store).sessions == [], "the grace period"
    shown = collect(store, grace=NOW, dry_run=True)
    assert [s.id for s in shown.sessions] == [last.id] and blobs(store) == files
    found = collect(store, grace=NOW)
    assert found.sessions[0].id == last.id and set(found.blobs) == files - blobs(store)
    assert len(found.blobs) == 3 and found.bytes > 0
    assert state(store) == line and verify(store, data=True) == []
    with pytest.raises(NotFoundError):
        store.goto(last.id)
    back = restore_trash(store)
    assert (back.sessions, back.blobs, back.left) == ([last.id], 3, [])
    assert store.goto(last.id).metrics == {"fidelity": 0.75}
    assert [s.id for s in store.all_sessions()] == [s.id for s in everything]
    assert blobs(store) == files and verify(store, data=True) == []
    assert trash_folders(store.home) == []


def test_a_removed_concept_survives_collection_and_can_be_undone(store: Store) -> None:
    before = state(store)
    store.commit_rm("V2")
    for keep in (None, 2):
        collect(store, grace=NOW, keep_sessions=keep)
        assert verify(store, data=True) == []
    store.undo()
    assert [c.token for c in store.concepts()] == ["V1", "V2", "V3", "V4"]
    sessions, concepts, _ = before  # type: ignore[misc]
    assert store.concepts() == concepts
    for concept in store.concepts():
        for sha in concept.blobs():
            store.blob(sha)
    assert [s.id for s in store.sessions()] == [s.id for s in sessions]


def test_thinning_keeps_the_head_and_names_what_went(store: Store) -> None:
    whole = state(store)
    store.commit_rm("V1")
    concepts, head = store.concepts(), store.head
    with pytest.raises(UsageError):
        collect(store, keep_sessions=0)
    assert collect(store, keep_sessions=1).blobs == [], "the grace period"
    found = collect(store, keep_sessions=1, grace=NOW)
    assert found.thinned == [1, 2, 3]
    assert store.head == head and store.concepts() == concepts
    assert store.tensors(head.adapter or "")["scale"] == 4
    for sha in (sha for concept in concepts for sha in concept.blobs()):
        store.blob(sha)
    assert verify(store, data=True) == []
    with pytest.raises(NotFoundError, match="collected") as error:
        store.tensors(store.session("2").adapter or "")
    assert "--restore" in error.value.hint
    # The session before the rm has its adapter, but not the contexts of what was removed.
    for ref in ("1", "2", "3", "4"):
        with pytest.raises(NotFoundError, match=f"session {ref}"):
            store.goto(ref)
    assert store.head == head
    assert len(store.sessions()) == 6, "the records stay: the chain and its settings"
    learn(store, "V5", 5)
    store.undo()
    assert restore_trash(store).left == []
    store.goto("4")
    assert state(store) == whole and verify(store, data=True) == []


def test_a_blob_that_is_missing_for_no_reason_is_still_damage(store: Store) -> None:
    collect(store, keep_sessions=1, grace=NOW)
    path = store.blob_path(store.head.adapter or "")
    content = path.read_bytes()
    path.unlink()
    assert [path.name in line for line in verify(store)] == [True]
    with pytest.raises(StoreCorruptError, match="missing"):
        store.blob(path.name)
    path.write_bytes(content)
    marks = store.home / FILE
    good = marks.read_bytes()
    flip(marks, len(good) // 2)
    assert [FILE in line for line in verify(store)] == [True]
    marks.write_bytes(good)
    assert verify(store) == []


def test_blobs_that_nobody_names_wait_for_the_grace_period(store: Store) -> None:
    name = store.put_blob(b"left by a killed learn")
    assert collect(store).blobs == []
    os.utime(store.blob_path(name), (0, 0))
    assert collect(store).blobs == [name]
    assert restore_trash(store).blobs == 1
    assert store.blob(name) == b"left by a killed learn"


def test_the_parents_of_a_young_session_stay(store: Store) -> None:
    store.goto("1")
    old = store.session("3")
    learn(store, "W", 9)
    # Sessions 2, 3 and 4 are off the line; all are young, so all stay, and none goes without its
    # parents: those are what makes the rest readable.
    assert collect(store).sessions == []
    gone = collect(store, grace=NOW).sessions
    assert [s.number for s in gone] == [2, 3, 4]
    assert restore_trash(store).left == []
    assert store.session(old.id).number == 3 and verify(store, data=True) == []


def test_the_trash_is_emptied_after_the_grace_period_or_on_request(store: Store) -> None:
    store.undo()
    trash = collect(store, grace=NOW).trash
    assert trash is not None and collect(store).emptied == []
    assert collect(store, empty=True, dry_run=True).emptied == [Path(trash).name]
    assert Path(trash).is_dir()
    assert collect(store, empty=True).emptied == [Path(trash).name]
    assert not Path(trash).exists()
    learn(store, "W", 9)
    store.undo()
    trash = collect(store, grace=NOW).trash
    Path(trash or "").rename(store.home / "trash" / "20200101T000000Z-abcdef")
    found = collect(store)
    assert found.emptied == ["20200101T000000Z-abcdef"] and found.emptied_bytes > 0
    assert verify(store, data=True) == []


def test_damage_in_the_trash_is_named_and_the_rest_comes_back(store: Store) -> None:
    store.goto("2")
    trash = Path(collect(store, grace=NOW).trash or "")
    victim = sorted((trash / "blobs").iterdir())[0]
    flip(victim, 5)
    flip(next(p for p in (trash / "sessions").iterdir()), 40)
    back = restore_trash(store)
    assert len(back.left) >= 2 and back.blobs == 5
    assert any(victim.name in line for line in back.left) and victim.exists()


def test_a_thinned_store_can_be_backed_up(store: Store, tmp_path: Path) -> None:
    collect(store, keep_sessions=1, grace=NOW)
    backup(store, tmp_path / "backup")
    assert verify_home(tmp_path / "backup", data=True) == []
    with Store.open(tmp_path / "backup") as copy:
        assert copy.concepts() == store.concepts()
        with pytest.raises(NotFoundError, match="collected"):
            copy.blob(copy.session("1").adapter or "")
