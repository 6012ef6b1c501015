"""A flipped bit or a missing file is named, never returned as if it were the truth."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from store import Session, Store, StoreCorruptError
from store.codec import CHECKSUM_BYTES, seal, unseal
from store.env import Table, number_key
from store.verify import verify
from tests.store.helpers import BASE, learn, run, state


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "home", BASE) as store:
        for n in range(1, 4):
            learn(store, f"V{n}", n)
        store.commit_rename("V2", "MAX")
    return tmp_path / "home"


def flip(path: Path, position: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= bit
    path.write_bytes(bytes(data))


def test_every_bit_of_a_sealed_record_counts() -> None:
    record = Session(id="s1", number=1, parent="s0", created="2026", kind="init", seconds=0.5)
    value = seal(b"sessions/s1", record)
    assert unseal(b"sessions/s1", value, Session) == record
    for position in range(len(value)):
        for bit in range(8):
            wrong = bytearray(value)
            wrong[position] ^= 1 << bit
            with pytest.raises(StoreCorruptError, match="sessions/s1"):
                unseal(b"sessions/s1", bytes(wrong), Session)
    for end in range(len(value)):
        with pytest.raises(StoreCorruptError):
            unseal(b"sessions/s1", value[:end], Session)
    with pytest.raises(StoreCorruptError):
        unseal(b"sessions/s2", value, Session)


def test_a_field_of_a_newer_version_is_named() -> None:
    known = {"id": "s1", "number": 1, "parent": None, "created": "", "kind": "init"}
    unseal(b"x", seal(b"x", known), Session)
    with pytest.raises(StoreCorruptError, match="flavour"):
        unseal(b"x", seal(b"x", {**known, "flavour": 1}), Session)


def test_a_flipped_bit_in_any_blob_is_detected(home: Path) -> None:
    rng = random.Random(0)
    with Store.open(home) as store:
        for path in sorted((home / "blobs").rglob("*/*")):
            good = path.read_bytes()
            for position in {0, len(good) - 1, rng.randrange(len(good))}:
                flip(path, position, 1 << rng.randrange(8))
                for read in (store.tensors, store.blob):
                    with pytest.raises(StoreCorruptError, match=path.name):
                        read(path.name)
                assert verify(store) == []
                assert [path.name in line for line in verify(store, data=True)] == [True]
                path.write_bytes(good)
            path.write_bytes(good[:-1])
            with pytest.raises(StoreCorruptError, match="damaged"):
                store.tensors(path.name)
            path.unlink()
            with pytest.raises(StoreCorruptError, match="missing"):
                store.tensors(path.name)
            assert [path.name in line for line in verify(store)] == [True]
            path.write_bytes(good)


def test_putting_a_blob_again_heals_a_damaged_copy(home: Path) -> None:
    with Store.open(home, write=True) as store:
        name = store.put_blob(b"some bytes")
        flip(store.blob_path(name), 3)
        assert store.put_blob(b"some bytes") == name
        assert store.blob(name) == b"some bytes"


def test_a_blob_that_is_no_tensors_says_so(home: Path) -> None:
    with Store.open(home, write=True) as store:
        name = store.put_blob(b"\xff" * 40)
        with pytest.raises(StoreCorruptError, match="holds no tensors"):
            store.tensors(name)
        for bad in ("", "x", "../../etc/passwd", "AB" * 32, "ab" * 31):
            with pytest.raises(StoreCorruptError, match="not the name of a blob"):
                store.tensors(bad)


@pytest.mark.parametrize("table", Table)
def test_a_flipped_bit_in_any_record_is_detected(home: Path, table: Table) -> None:
    with Store.open(home, write=True) as store:
        store.update_metrics("1", {"fidelity": 0.1})
        with store._records.read() as txn:
            raw = dict(txn._txn.cursor(db=store._records._tables[table]))
        assert raw
        for key, value in raw.items():
            for position in (0, CHECKSUM_BYTES, len(value) - 1):
                wrong = bytearray(value)
                wrong[position] ^= 0x10
                poke(store, table, key, bytes(wrong))
                problems = verify(store)
                assert any("checksum" in line and table.value.decode() in line for line in problems)
                poke(store, table, key, value)
        assert verify(store) == []


def poke(store: Store, table: Table, key: bytes, value: bytes) -> None:
    with store._records.write() as txn:
        txn._txn.put(key, value, db=store._records._tables[table])


def test_references_that_lead_nowhere_are_named(home: Path) -> None:
    def drop(table: Table, key: Callable[[Store], bytes]) -> list[str]:
        with Store.open(home, write=True) as store:
            name = key(store)
            with store._records.write() as txn:
                kept = txn._txn.get(name, db=store._records._tables[table])
                txn.delete(table, name)
            problems = verify(store)
            poke(store, table, name, kept)
            assert verify(store) == []
        return problems

    assert "session" in drop(Table.SESSIONS, lambda s: s.session("2").id.encode())[0]
    assert "concept" in drop(Table.CONCEPTS, lambda s: s.concept("MAX").id.encode())[0]
    assert "head" in " ".join(drop(Table.META, lambda s: b"head"))
    for table, key in ((Table.LINE, number_key(1)), (Table.ALIVE, number_key(1))):
        assert drop(table, lambda s, key=key: key) == [
            f"the index {table.value.decode()} does not match the sessions"
        ]
    assert "tokens" in drop(Table.TOKENS, lambda s: b"max")[0]


def test_a_session_file_that_changed_or_went_is_named(home: Path) -> None:
    with Store.open(home) as store:
        for path in sorted((home / "sessions").iterdir()):
            good = path.read_bytes()
            flip(path, len(good) // 2)
            assert any(path.name in line for line in verify(store))
            path.unlink()
            assert any(path.name in line for line in verify(store))
            path.write_bytes(good)
        assert verify(store, data=True) == []


def test_a_truncated_records_file_is_refused_by_name(home: Path) -> None:
    path = home / "records" / "data.mdb"
    good = path.read_bytes()
    for size in (0, 1, 4095, 4096, 8191, 8192, len(good) // 2):
        path.write_bytes(good[:size])
        for write in (False, True):
            with pytest.raises(StoreCorruptError, match=r"data\.mdb"):
                Store.open(home, write=write)
    path.write_bytes(good)
    with Store.open(home) as store:
        expected = state(store)
    for size in range(len(good) - 1, len(good) // 2, -4096):
        path.write_bytes(good[:size])
        try:
            with Store.open(home) as store:  # free pages are all that was cut off
                assert state(store) == expected and verify(store) == []
        except StoreCorruptError as error:
            assert "truncated" in error.message
    path.write_bytes(b"\0" * len(good))
    with pytest.raises(StoreCorruptError, match=r"data\.mdb"):
        Store.open(home)
    path.unlink()
    with pytest.raises(StoreCorruptError, match=r"data\.mdb is missing"):
        Store.open(home)
    path.write_bytes(good)
    with Store.open(home) as store:
        assert verify(store, data=True) == []


def test_a_damaged_format_file_is_refused_by_name(home: Path) -> None:
    path = home / "format.json"
    good = path.read_bytes()
    for wrong in (b"", good[:-9], b"[]", b'{"format": "lfsd-store"}', b"\xff", b'{"schema": 1}',
                  b'{"format": "lfsd-store", "schema": true}'):  # fmt: skip
        path.write_bytes(wrong)
        with pytest.raises(StoreCorruptError, match=r"format\.json"):
            Store.open(home)
    path.write_bytes(good)
    with Store.open(home) as store:
        assert len(store.concepts()) == 3


def test_flips_anywhere_in_the_records_file_give_no_wrong_answer(home: Path) -> None:
    """Each flip is read in a process of its own; what it answers is right or refused by name."""
    with Store.open(home) as store:
        expected = repr(state(store))
    out = run(
        "import os, pathlib, random, sys\n"
        "from store import LfsdError, Store, StoreCorruptError\n"
        "from store.verify import verify\n"
        "from tests.store.helpers import state\n"
        "home, expected = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()\n"
        "path = home / 'records' / 'data.mdb'; good = path.read_bytes(); rng = random.Random(5)\n"
        "def child():\n"
        "    try:\n"
        "        with Store.open(home) as store:\n"
        "            if verify(store): return 1\n"
        "            return 0 if repr(state(store)) == expected else 2\n"
        "    except StoreCorruptError: return 1\n"
        "    except BaseException as error: sys.stderr.write(repr(error)); return 3\n"
        "codes = []\n"
        "for _ in range(100):\n"
        "    data = bytearray(good); data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)\n"
        "    path.write_bytes(data); pid = os.fork()\n"
        "    if pid == 0: os._exit(child())\n"
        "    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        "print(*[codes.count(code) for code in (0, 1)], len(codes))\n",
        str(home), str(_write(home.parent / "expected", expected)),
    )  # fmt: skip
    right, named, total = (int(word) for word in out.split())
    assert right + named == total == 100
    assert named > 5


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
