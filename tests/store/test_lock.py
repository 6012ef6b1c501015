"""One writer, named to everyone else; readers never wait."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from store import Store, StoreBusyError, writer
from tests.store.helpers import BASE, learn, run, script, state

HOLD = (
    "import sys, pathlib; from store import Store; from tests.store.helpers import learn\n"
    "store = Store.open(pathlib.Path(sys.argv[1]), write=True)\n"
    "sys.stdout.write('held\\n'); sys.stdout.flush()\n"
    "for line in sys.stdin:\n"
    "    learn(store, line.strip(), 7); sys.stdout.write('done\\n'); sys.stdout.flush()\n"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "home", BASE) as store:
        learn(store, "V1")
    return tmp_path / "home"


def test_a_second_process_is_told_who_holds_the_lock(home: Path) -> None:
    holder = script(HOLD, str(home), "learn ./photos\x1b[31m")
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreBusyError) as error:
        Store.open(home, write=True)
    message = error.value.message
    assert f"process {holder.pid} on {os.uname().nodename}, since 20" in message
    assert "learn ./photos" in message and "\x1b" not in message and "\n" not in message
    assert error.value.holder["pid"] == holder.pid
    found = writer(home)
    assert found is not None and found["pid"] == holder.pid

    # Reading goes on, and sees the commit when it is made and not before.
    with Store.open(home) as reader:
        before = state(reader)
        holder.stdin.write("V2\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "done\n"
        assert state(reader) != before
        assert [concept.token for concept in reader.concepts()] == ["V1", "V2"]

    # A holder that dies leaves no stale lock, whatever the file says.
    holder.kill()
    holder.communicate()
    assert json.loads((home / "lock").read_bytes())["pid"] == holder.pid
    assert writer(home) is None
    with Store.open(home, write=True) as store:
        learn(store, "V3", 3)


def test_a_second_writer_may_wait_and_give_up(home: Path) -> None:
    holder = script(HOLD, str(home))
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    asked: list[str] = []

    def twice(busy: StoreBusyError) -> bool:
        asked.append(busy.message)
        return len(asked) < 2

    with pytest.raises(StoreBusyError):
        Store.open(home, write=True, wait=twice)
    assert len(asked) == 2 and f"process {holder.pid}" in asked[0]

    def until_it_ends(_busy: StoreBusyError) -> bool:
        if holder.poll() is None:
            holder.communicate("V2\n")
        return True

    with Store.open(home, write=True, wait=until_it_ends) as store:
        assert [c.token for c in store.concepts()] == ["V1", "V2"], "what it sees is newer"


def test_the_lock_is_let_go_and_forgets_its_holder(home: Path) -> None:
    with Store.open(home, write=True):
        assert writer(home) == {**(writer(home) or {}), "pid": os.getpid()}
        with pytest.raises(StoreBusyError, match="this same process"):
            Store.open(home, write=True)
    assert writer(home) is None
    assert (home / "lock").read_bytes() == b""


def test_a_lock_whose_holder_left_no_name_is_still_a_lock(home: Path) -> None:
    for content in (b"", b"\xff\xfe", b"[1]", b'{"pid": 1'):
        with Store.open(home, write=True):
            (home / "lock").write_bytes(content)
            with pytest.raises(StoreBusyError, match="another process"):
                Store.open(home, write=True)


def test_a_failed_open_lets_go_of_the_lock(home: Path) -> None:
    data = (home / "records" / "data.mdb").read_bytes()
    (home / "records" / "data.mdb").write_bytes(b"")
    with pytest.raises(Exception, match="cannot be read"):
        Store.open(home, write=True)
    assert writer(home) is None
    (home / "records" / "data.mdb").write_bytes(data)
    Store.open(home, write=True).close()


def test_a_snapshot_is_one_moment(home: Path) -> None:
    """What a reader sees in one call belongs together, however busy the writer is."""
    busy = script(
        "import sys, pathlib; from store import Store; from tests.store.helpers import learn\n"
        "store = Store.open(pathlib.Path(sys.argv[1]), write=True)\n"
        "sys.stdout.write('held\\n'); sys.stdout.flush()\n"
        "while True:\n"
        "    learn(store, 'V2', 2); store.commit_rename('V2', 'W2')\n"
        "    store.undo(); store.undo()\n",
        str(home),
    )
    assert busy.stdout is not None and busy.stdout.readline() == "held\n"
    try:
        with Store.open(home) as reader:
            seen: set[int] = set()
            until = time.monotonic() + 30
            while time.monotonic() < until and len(seen) < 3:
                line = reader.sessions()
                assert [session.number for session in line] == list(range(len(line)))
                assert len(line) <= 4
                tokens = [concept.token for concept in reader.concepts()]
                assert tokens in (["V1"], ["V1", "V2"], ["V1", "W2"])
                seen.add(len(line))
        assert len(seen) == 3, "the writer never moved: this test saw nothing"
    finally:
        busy.kill()
        busy.communicate()


def test_a_forked_child_reads_and_leaves_the_lock_alone(home: Path) -> None:
    out = run(
        "import os, sys, pathlib; from store import Store, writer\n"
        "home = pathlib.Path(sys.argv[1]); store = Store.open(home, write=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    with Store.open(home) as reader: number = reader.head.number\n"
        "    del reader; store.close(); os._exit(number)\n"
        "status = os.waitpid(child, 0)[1]\n"
        "print(os.waitstatus_to_exitcode(status), store.undo().number,"
        " writer(home)['pid'] == os.getpid())\n",
        str(home),
    )
    assert out.split() == ["1", "0", "True"]


def test_threads_of_one_process_read_while_it_writes(home: Path) -> None:
    wrong: list[str] = []
    stop = threading.Event()

    def look() -> None:
        with Store.open(home) as reader:
            while not stop.is_set():
                tokens = [concept.token for concept in reader.concepts()]
                if tokens != [f"V{n}" for n in range(1, len(tokens) + 1)]:
                    wrong.append(repr(tokens))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with Store.open(home, write=True) as store:
            for n in range(2, 30):
                learn(store, f"V{n}", n)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
