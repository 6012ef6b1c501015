"""What a store keeps comes back, at the head and at every session before it."""

import itertools
import shutil
import stat
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from store import (
    BaseMismatchError,
    BaseRef,
    NewConcept,
    NotFoundError,
    Row,
    Store,
    StoreCorruptError,
    UsageError,
)
from store.env import Table
from store.verify import verify
from tests.store.helpers import BASE, adapter, learn, state


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "home"


@pytest.fixture
def store(home: Path):
    with Store.create(home, BASE) as made:
        yield made


def tokens(store: Store, at: str | None = None) -> list[str]:
    return [concept.token for concept in store.concepts(at)]


def test_create_then_open(home: Path) -> None:
    assert not Store.exists(home)
    with Store.create(home, BASE, versions={"lfsd": "0.1"}) as store:
        root = store.head
    assert Store.exists(home)
    with Store.open(home) as store:
        assert store.head == root
        assert (root.number, root.kind, root.parent, root.adapter) == (0, "init", None, None)
        assert root.versions == {"lfsd": "0.1"}
        assert store.base == BASE
        assert store.concepts() == []
        assert verify(store, data=True) == []


def test_folders_and_files_are_the_owners_alone(store: Store) -> None:
    learn(store, "V1")
    for path in (store.home, *store.home.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_create_refuses_an_existing_store(home: Path, store: Store) -> None:
    learn(store, "V1")
    before = state(store)
    for _ in range(2):
        with pytest.raises(UsageError, match="already"):
            Store.create(home, BASE)
        assert state(store) == before
        store.close()
        store = Store.open(home)
    store.close()


def test_create_refuses_to_hide_sessions_that_lost_their_format_file(home: Path) -> None:
    with Store.create(home, BASE) as store:
        learn(store, "V1")
        before = state(store)
    content = (home / "format.json").read_bytes()
    (home / "format.json").unlink()
    with pytest.raises(StoreCorruptError, match=r"format\.json is missing"):
        Store.create(home, BASE)
    (home / "format.json").write_bytes(content)
    with Store.open(home) as store:
        assert state(store) == before


def test_open_without_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(NotFoundError) as error:
            Store.open(folder)
        assert "lfsd init" in error.value.hint
    with pytest.raises(UsageError):
        Store.create(tmp_path / "file", BASE)


def test_a_learned_concept_comes_back_whole(home: Path) -> None:
    with Store.create(home, BASE) as store:
        session = learn(store, "V1", seed=3)
    with Store.open(home) as store:
        assert store.head == store.session(session.id) == session
        concept = store.concept("V1")
        assert concept == session.concept == store.concepts()[0]
        assert concept.session == session.id
        assert datetime.fromisoformat(concept.created).utcoffset() is not None
        assert [photo.caption for photo in concept.photos] == ["on a sofa", None]
        assert concept.refused[0].reason == "not a picture"
        row = concept.rows[0].array()
        expected = np.random.default_rng(3)
        expected.standard_normal((4, 8, 8))
        assert row.tobytes() == expected.standard_normal(16).astype(np.float32).tobytes()
        assert row.flags.writeable
        assert session.adapter is not None
        back = store.tensors(session.adapter)
        for name, array in adapter(3).items():
            assert back[name].dtype == array.dtype and back[name].shape == np.shape(array)
            assert back[name].tobytes() == array.tobytes()
        assert session.settings["targets"] == ["attn1", "attn2"]
        assert session.metrics == {"fidelity": 0.5, "pcf": {"V1": 0.1}}
        assert session.seconds == 1.5


def test_rows_of_every_shape_and_value_come_back_bit_for_bit() -> None:
    odd = np.array([[np.nan, -0.0, np.inf], [1e-45, 1.0, -1.5]], np.float32)
    for array in (odd, odd.T, odd[:, ::2], np.float32(2.5), np.zeros((0, 4), np.float32)):
        back = Row.of(1, "V1", array).array()
        assert back.shape == np.shape(array)
        assert back.tobytes() == np.asarray(array, order="C").tobytes()


def test_equal_tensors_are_one_blob_whatever_their_order(store: Store) -> None:
    tensors = adapter(1)
    name = store.put_tensors(tensors)
    assert store.put_tensors(dict(reversed(tensors.items()))) == name
    fortran = {key: np.asarray(value, order="F") for key, value in tensors.items()}
    assert store.put_tensors(fortran) == name
    assert store.blob_size(name) == store.blob_path(name).stat().st_size
    assert store.put_tensors(adapter(2)) != name


def test_rename_and_rm_change_the_head_and_nothing_before_it(store: Store) -> None:
    learn(store, "V1", 1)
    learn(store, "V2", 2)
    was = store.concept("V1")
    renamed = store.commit_rename("V1", "MAX")
    removed = store.commit_rm("V2")
    assert (renamed.renamed, removed.removed) == (("V1", "MAX"), store.concept("V2", at="3").id)
    assert tokens(store) == ["MAX"]
    now = store.concept("MAX")
    assert (now.id, now.rows, now.contexts, now.session) == (
        was.id, was.rows, was.contexts, was.session,
    )  # fmt: skip
    assert [tokens(store, str(n)) for n in range(5)] == [
        [], ["V1"], ["V1", "V2"], ["MAX", "V2"], ["MAX"],
    ]  # fmt: skip
    assert store.concept("V1", at="2") == was
    assert store.head.adapter == store.session("2").adapter
    with pytest.raises(NotFoundError, match="V1"):
        store.concept("V1")
    assert verify(store, data=True) == []


def test_a_freed_token_can_be_learned_again(store: Store) -> None:
    first = learn(store, "V1", 1)
    store.commit_rename("V1", "MAX")
    second = learn(store, "V1", 2)
    store.commit_rm("MAX")
    learn(store, "MAX", 3)
    assert tokens(store) == ["V1", "MAX"]
    assert store.concept("V1").id == second.concept.id != first.concept.id
    assert store.concept("MAX", at="HEAD~2").id == first.concept.id
    assert verify(store) == []


def test_a_token_may_change_its_case_alone(store: Store) -> None:
    learn(store, "V1")
    store.commit_rename("V1", "v1")
    assert tokens(store) == ["v1"]
    assert verify(store) == []


def test_undo_restores_every_bit(store: Store) -> None:
    states = [state(store)]
    for n, token in enumerate(("V1", "V2", "V3"), 1):
        learn(store, token, n)
        states.append(state(store))
    store.commit_rename("V2", "MAX")
    states.append(state(store))
    store.commit_rm("V1")
    for expected in reversed(states):
        store.undo()
        assert state(store) == expected
        assert verify(store, data=True) == []
        if expected is states[0]:
            break
    with pytest.raises(UsageError, match="nothing to undo"):
        store.undo()


def test_goto_goes_back_and_forward_and_branches(store: Store) -> None:
    states = [state(store)] + [(learn(store, f"V{n}", n), state(store))[1] for n in range(1, 4)]
    ids = [session.id for session in store.sessions()]
    for here, there in itertools.permutations(range(4), 2):
        store.goto(ids[here])
        assert store.goto(str(there)).number == there
        assert state(store) == states[there]
    store.goto("1")
    branch = learn(store, "W2", 9)
    assert (branch.number, branch.parent) == (2, ids[1])
    assert tokens(store) == ["V1", "W2"]
    assert store.session("2").id == branch.id, "a number counts along the head's own line"
    assert [s.id for s in store.all_sessions() if s.number == 2].__len__() == 2
    assert store.goto(ids[3]).number == 3
    assert state(store) == states[3]
    assert verify(store, data=True) == []


def test_session_references(store: Store) -> None:
    sessions = [store.head] + [learn(store, f"V{n}", n) for n in range(1, 4)]
    for ref, number in [
        ("0", 0), ("2", 2), ("HEAD", 3), ("head", 3), ("HEAD~", 2), ("HEAD~2", 1), ("HEAD~3", 0),
        (sessions[1].id, 1), (sessions[2].id[:8], 2), (sessions[2].id[:8].upper(), 2), (" 1 ", 1),
    ]:  # fmt: skip
        assert store.session(ref) == sessions[number], ref
    for ref in ("4", "HEAD~4", "HEAD~x", "s", "", " ", "-1", "zzzz", "٣", "9" * 40, "\udcff" * 9):
        with pytest.raises(NotFoundError, match="sessions 0 to 3 exist"):
            store.session(ref)


def test_an_ambiguous_number_names_the_candidates(store: Store) -> None:
    pairs = []
    for n in (1, 2):
        pairs.append(learn(store, "V1", n))
        store.undo()
    with pytest.raises(NotFoundError, match="names 2 sessions") as error:
        store.goto("1")
    assert all(session.id[:9] in error.value.message for session in pairs)
    assert store.goto(pairs[1].id[:9]) == pairs[1]


@pytest.mark.parametrize(
    ("asked", "suggested"), [("v1", "V1"), ("V11", "V1"), ("MAXX", "MAX"), ("zzz", "V1, MAX")]
)
def test_unknown_concept_suggests_what_was_meant(store: Store, asked: str, suggested: str) -> None:
    learn(store, "V1", 1)
    learn(store, "MAX", 2)
    with pytest.raises(NotFoundError) as error:
        store.concept(asked)
    assert suggested in error.value.hint


@pytest.mark.parametrize(
    "token", ["", "1V", "V1;rm", "V 1", "V1\n", "é", "V" * 33, "\x1b[31m", "../x", "V\0", "\udcff"]
)
def test_bad_tokens_change_nothing(store: Store, token: str) -> None:
    learn(store, "V1")
    before = state(store)
    with pytest.raises(UsageError, match="cannot be a token") as error:
        learn(store, token)
    assert "\x1b" not in error.value.message and "\n" not in error.value.message
    with pytest.raises(UsageError):
        store.commit_rename("V1", token)
    with pytest.raises(NotFoundError):
        store.commit_rm(token)
    assert state(store) == before


def test_a_taken_token_is_refused_whatever_its_case(store: Store) -> None:
    learn(store, "V1", 1)
    learn(store, "V2", 2)
    before = state(store)
    for token in ("V1", "v1"):
        for attempt in (
            lambda token=token: learn(store, token, 3),
            lambda token=token: store.commit_rename("V2", token),
            lambda token=token: store.check_token(token),
        ):
            with pytest.raises(UsageError, match="V1 is taken"):
                attempt()
    with pytest.raises(UsageError, match="already"):
        store.commit_rename("V2", "V2")
    store.check_token("V3")
    assert state(store) == before


def test_a_commit_needs_its_blobs(store: Store) -> None:
    with pytest.raises(StoreCorruptError, match="missing"):
        store.commit_learn(
            concept=NewConcept(token="V1", class_noun="cat"), adapter="ab" * 32,
            settings={}, metrics={}, versions={}, seconds=0,
        )  # fmt: skip
    assert store.head.number == 0


def test_settings_that_are_not_data_are_refused(store: Store) -> None:
    blob = store.put_blob(b"x")
    for settings in ({"a": object()}, {"a": np.zeros(2)}, {1: 2}, {"a": 1 << 70}):
        with pytest.raises(TypeError, match="JSON-able"):
            store.commit_learn(
                concept=NewConcept(token="V1", class_noun="cat"), adapter=blob,
                settings=settings, metrics={}, versions={}, seconds=0,
            )  # fmt: skip
    assert store.head.number == 0


def test_a_thumbnail_is_kept_only_if_it_was_handed_in(store: Store) -> None:
    photo = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    learn(store, "V1")
    learn(store, "V2", 2, thumbnail=photo)
    assert store.thumbnail(store.concept("V1")) is None
    kept = store.thumbnail(store.concept("V2"))
    assert kept is not None and kept.dtype == np.uint8
    np.testing.assert_array_equal(kept, photo)
    assert verify(store, data=True) == []


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4), (1, 6, 5, 3)])
def test_a_thumbnail_that_is_no_picture_is_named(store: Store, shape: tuple[int, ...]) -> None:
    learn(store, "V1", thumbnail=np.zeros(shape, np.uint8))
    with pytest.raises(StoreCorruptError, match="its thumbnail is no picture"):
        store.thumbnail(store.concept("V1"))


def test_metrics_can_be_measured_again_and_the_session_keeps_its_id(store: Store) -> None:
    session = learn(store, "V1")
    store.update_metrics("1", {"fidelity": 0.75})
    again = store.session(session.id)
    assert again.metrics == {"fidelity": 0.75} and again.id == session.id
    assert store.sessions()[-1] == store.head == again
    assert verify(store) == []
    with pytest.raises(NotFoundError):
        store.update_metrics("7", {})


def test_a_store_open_for_reading_writes_nothing(home: Path, store: Store) -> None:
    session = learn(store, "V1")
    with Store.open(home) as reader:
        for attempt in (
            lambda: learn(reader, "V2"),
            lambda: reader.commit_rm("V1"),
            lambda: reader.commit_rename("V1", "V2"),
            lambda: reader.undo(),
            lambda: reader.goto("0"),
            lambda: reader.update_metrics(session.id, {}),
            lambda: reader.put_blob(b"x"),
        ):
            with pytest.raises(UsageError, match="reading only"):
                attempt()
    assert store.head == session


def test_a_closed_store_says_so(home: Path) -> None:
    store = Store.create(home, BASE)
    store.close()
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.head  # noqa: B018


def test_a_store_dropped_without_closing_lets_go_of_the_lock(home: Path) -> None:
    Store.create(home, BASE)
    Store.open(home, write=True)
    with Store.open(home, write=True) as store:
        learn(store, "V1")


def test_another_base_is_refused(store: Store) -> None:
    store.check_base(BASE)
    store.check_base(BaseRef("the same, elsewhere", "2", BASE.sha256, BASE.layout))
    for other in (BaseRef("x", "1", "cd" * 32, "sd"), BaseRef("pocket", "1", BASE.sha256, "sdxl")):
        with pytest.raises(BaseMismatchError, match="pinned to the base pocket"):
            store.check_base(other)


def test_the_id_of_the_head_vouches_for_the_whole_history(home: Path, tmp_path: Path) -> None:
    from store.commit import content_id, read_session_file, session_path

    with Store.create(home, BASE) as store:
        for n in range(1, 4):
            learn(store, f"V{n}", n)
        for session in store.sessions():
            assert content_id(session) == session.id
            assert read_session_file(session_path(home, session.id)) == session


def test_look_ups_read_a_handful_of_records_however_many_there_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store import env

    for n in range(60):
        learn(store, f"V{n}", n)
    reads: list[bytes] = []
    real = env.unseal
    monkeypatch.setattr(env, "unseal", lambda p, v, k: (reads.append(p), real(p, v, k))[1])
    for look in (
        lambda: Store.open(store.home).close(), lambda: store.concept("V30"),
        lambda: store.session("30"), lambda: store.session("HEAD~9"), lambda: store.head,
    ):  # fmt: skip
        reads.clear()
        look()
        assert 0 < len(reads) <= 6


def test_a_list_of_concepts_comes_from_the_index(store: Store) -> None:
    """What `ls` shows is kept beside the head, so that it reads no concept and asks no disk."""
    for n in range(1, 5):
        learn(store, f"V{n}", n)
    store.commit_rename("V2", "MAX")
    store.commit_rm("V3")

    def expected(at: str | None) -> list[tuple[object, ...]]:
        return [
            (
                c.token, store.session(c.session).number, c.class_noun, len(c.photos),
                len(c.contexts), c.created,
                sum(len(r.data) for r in c.rows) + sum(map(store.blob_size, c.blobs())),
            )
            for c in store.concepts(at)
        ]  # fmt: skip

    def listed(at: str | None) -> list[tuple[object, ...]]:
        return [
            (a.token, a.number, s.class_noun, s.photos, s.contexts, s.created, s.bytes)
            for a, s in store.listing(at)
        ]

    assert listed(None) == expected(None) and len(listed(None)) == 3
    for session in store.sessions():
        assert listed(session.id) == expected(session.id)
        store.goto(session.id)
        assert listed(None) == expected(None)
    shutil.rmtree(store.home / "blobs")
    with store._records.write() as txn:
        txn.clear(Table.CONCEPTS)
    assert len(store.listing()) == 3
