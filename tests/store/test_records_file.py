"""The records file: looked at before LMDB maps it, made anew, and made larger."""

from pathlib import Path

import pytest

import store.env
import store.pages
from store import Store, StoreBusyError, StoreCorruptError
from store.compact import compact
from store.env import Table
from store.pages import check_meta_pages, walk
from store.verify import verify, verify_home
from tests.store.helpers import BASE, learn, run, script, state


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "home", BASE) as made:
        for n in range(1, 4):
            learn(made, f"V{n}", n)
    return tmp_path / "home"


def wasteful(opened: Store) -> None:
    """Leave free pages behind."""
    for n in range(30):
        opened.update_metrics("1", {"x": list(range(1000 + n))})


def test_compacting_keeps_everything_and_frees_pages(home: Path) -> None:
    with Store.open(home, write=True) as opened:
        wasteful(opened)
        expected = state(opened)
        before, after = compact(opened)
        assert after < before
        assert state(opened) == expected, "the same object goes on with the new file"
        learn(opened, "V4", 4)
        assert verify(opened, data=True) == []
        assert list((home / "tmp").iterdir()) == []
    with Store.open(home) as reader:
        assert reader.head.number == 4


def test_compacting_waits_for_no_reader(home: Path) -> None:
    """A process that has the old file mapped must not meet a new one under the same table."""
    reader = script(
        "import pathlib, sys; from store import Store\n"
        "with Store.open(pathlib.Path(sys.argv[1])) as store:\n"
        "    print(store.head.number, flush=True); sys.stdin.readline()\n"
        "    print(store.head.number, flush=True)\n",
        str(home),
    )
    assert reader.stdout is not None and reader.stdout.readline() == "3\n"
    with Store.open(home, write=True) as opened:
        before = (home / "records" / "data.mdb").stat().st_ino
        with pytest.raises(StoreBusyError, match="reading"):
            compact(opened)
        assert (home / "records" / "data.mdb").stat().st_ino == before
        learn(opened, "V4", 4)
        assert reader.communicate("\n")[0] == "4\n"
        compact(opened)
        assert (home / "records" / "data.mdb").stat().st_ino != before
        learn(opened, "V5", 5)
    assert verify_home(home, data=True) == []


def test_two_stores_of_one_process_cannot_be_compacted(home: Path) -> None:
    with Store.open(home, write=True) as opened, Store.open(home) as second:
        with pytest.raises(StoreBusyError, match="twice"):
            compact(opened)
        assert second.head == opened.head


def test_a_full_map_is_made_larger(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.env, "MAP_BYTES", (256 << 10,))
    with Store.open(home, write=True) as opened:
        large = {"x": list(range(20_000))}
        opened.update_metrics("1", large)
        for n in range(4, 40):
            learn(opened, f"V{n}", n)
            opened.update_metrics(str(n), large)
        assert opened.session("1").metrics == large
        assert (home / "records" / "data.mdb").stat().st_size > 1 << 20
        assert verify(opened) == []


def test_a_reader_follows_a_map_that_grew(home: Path) -> None:
    code = (
        "import pathlib, sys; import store.env; store.env.MAP_BYTES = (256 << 10,)\n"
        "from store import Store; from store.verify import verify\n"
        "with Store.open(pathlib.Path(sys.argv[1])) as opened:\n"
        "    print(opened.head.number, flush=True); sys.stdin.readline()\n"
        "    print(opened.head.number, verify(opened), flush=True)\n"
    )
    reader = script(code, str(home))
    assert reader.stdout is not None and reader.stdout.readline() == "3\n"
    with Store.open(home, write=True) as opened:
        for n in range(4, 24):
            learn(opened, f"V{n}", n)
            opened.update_metrics(str(n), {"x": list(range(20_000))})
    out, err = reader.communicate("\n")
    assert out == "23 []\n", err


@pytest.mark.parametrize("walked", [True, False])
def test_damaged_page_headers_are_named(
    home: Path, walked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify` and writers never map a file that was not walked; readers up to a size."""
    path = home / "records" / "data.mdb"
    good = path.read_bytes()
    if not walked:
        monkeypatch.setattr(store.pages, "WALKED_ON_OPEN", 0)
    found = 0
    for page in range(2, len(good) // 4096):
        for position in (10, 12, 14, 16, 17):
            data = bytearray(good)
            data[page * 4096 + position] ^= 0x80
            path.write_bytes(data)
            problems = walk(path)
            assert problems == [
                line.split(": ", 1)[1] for line in verify_home(home)[: len(problems)]
            ]
            found += bool(problems)
            if problems:
                with pytest.raises(StoreCorruptError, match=r"data\.mdb is damaged"):
                    Store.open(home, write=not walked)
    assert found > 20


def test_free_pages_missing_at_the_end_are_no_damage(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LMDB never writes a page that a transaction took and gave back: the file may end before it.

    Found by the kill loop: a store was refused as truncated after a collection.
    """
    path = home / "records" / "data.mdb"
    monkeypatch.setattr(store.env, "lengthen", lambda _path, _pages: None)
    with Store.open(home, write=True) as opened:
        expected = state(opened)
        with opened._records.write() as txn:
            txn.put(Table.META, b"large", list(range(100_000)))
            txn.delete(Table.META, b"large")
            txn.put(Table.META, b"left/x", "2026")
        frontier = (opened._records._env.info()["last_pgno"] + 1) * 4096
    assert path.stat().st_size < frontier, "this test sees no such file"
    check_meta_pages(path)
    assert walk(path) == []
    assert verify_home(home, data=True) == []
    monkeypatch.undo()
    with Store.open(home, write=True) as opened:
        assert state(opened) == expected
        opened.undo()
        assert path.stat().st_size >= (opened._records._env.info()["last_pgno"] + 1) * 4096


def test_a_busy_writer_is_no_damage(home: Path) -> None:
    busy = script(
        "import sys, pathlib; from store import Store; from tests.store.helpers import learn\n"
        "store = Store.open(pathlib.Path(sys.argv[1]), write=True)\n"
        "print('held', flush=True)\n"
        "for n in range(10**6): store.update_metrics('1', {'n': list(range(n % 900))})\n",
        str(home),
    )
    assert busy.stdout is not None and busy.stdout.readline() == "held\n"
    try:
        out = run(
            "import pathlib, sys; from store import StoreBusyError\n"
            "from store.verify import verify_home\n"
            "for _ in range(30):\n"
            "    try: problems = verify_home(pathlib.Path(sys.argv[1]))\n"
            "    except StoreBusyError: continue\n"
            "    assert problems == [], problems\n"
            "print('done')\n",
            str(home),
        )
        assert out == "done\n"
    finally:
        busy.kill()
        busy.communicate()
