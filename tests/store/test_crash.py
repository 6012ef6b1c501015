"""A process killed, or a disk call that fails, leaves the old state or the new one: never a third.

`kill -9` keeps what the kernel already has, so these tests prove the order of the steps; that
each step is fsynced before the next is checked by the order of the calls.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import lmdb
import pytest

from store import LfsdError, ResourceError, Store, UsageError
from store.verify import verify
from tests.store.faults import Counter, faults
from tests.store.helpers import BASE, REPO, learn, script, state
from tests.store.operations import OPERATIONS, prepare


def test_kill_at_every_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.kill_loop", str(tmp_path)],
        cwd=REPO, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [*OPERATIONS, "create"]
    for name, points, old, new in rows:
        assert int(points) >= 6, name
        assert int(old) >= 3 and int(new) >= 2, name


def test_what_was_acknowledged_survives_kills_at_random_moments(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Store.create(home, BASE).close()
    told = tmp_path / "told"
    told.touch()
    code = (
        "import os, sys, pathlib; from store import Store; from tests.store.helpers import learn\n"
        "told = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)\n"
        "with Store.open(pathlib.Path(sys.argv[1]), write=True) as store:\n"
        "    for n in range(10**6):\n"
        "        session = learn(store, f'T{store.head.number}', n)\n"
        "        os.write(told, session.id.encode() + b'\\n')\n"
    )
    there: list[str] = []
    for more in (1, 2, 3, 5, 8):
        told.write_text("")
        process = script(code, str(home), str(told))
        while told.read_text().count("\n") < more and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        acknowledged = there + told.read_text().split()
        with Store.open(home, write=True) as store:
            assert verify(store, data=True) == []
            there = [session.id for session in store.sessions()][1:]
        assert there[: len(acknowledged)] == acknowledged
        # At most the one session under way may be there without an acknowledgement.
        assert len(there) - len(acknowledged) <= 1


def _lmdb_error(name: str, code: int) -> lmdb.Error:
    """LMDB reports errno as `code`, and a short write as a DiskError."""
    error = lmdb.DiskError(name) if code == errno.EIO else lmdb.Error(name)
    error.code = code
    return error


def strike(code: int):
    def fail(name: str) -> None:
        if name == "lmdb committed":
            return
        if name.startswith("lmdb"):
            raise _lmdb_error(name, code)
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_call_failing(tmp_path: Path, operation: str, code: int, lasting: bool) -> None:
    template, home = tmp_path / "template", tmp_path / "home"
    prepare(template)
    refused = 0
    for n in range(1, 500):
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template, home)
        with Store.open(home) as store:
            old = state(store)
        failed = store = None
        with faults(Counter(n, strike(code), lasting)) as counter:
            try:
                store = Store.open(home, write=True)
                OPERATIONS[operation](store)
            except LfsdError as error:
                failed = error
        if failed is not None:
            refused += 1
            assert isinstance(failed, ResourceError), repr(failed)
            assert "\n" not in failed.message
        with Store.open(home) as reader:
            assert (state(reader) == old) == (failed is not None)
            assert verify(reader, data=True) == []
        if store is not None:
            if failed is not None:
                OPERATIONS[operation](store)  # the same object goes on once the disk does
            assert state(store) != old
            store.close()
        if not counter.struck:
            break
    assert not counter.struck and refused >= 3


def test_creation_failing_at_every_call(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for n in range(1, 500):
        shutil.rmtree(home, ignore_errors=True)
        with faults(Counter(n, strike(errno.ENOSPC))) as counter:
            try:
                Store.create(home, BASE).close()
            except LfsdError as error:
                assert isinstance(error, ResourceError), repr(error)
        if not Store.exists(home):
            Store.create(home, BASE).close()
        with Store.open(home, write=True) as store:
            assert verify(store, data=True) == [] and store.head.number == 0
        if not counter.struck:
            return
    raise AssertionError("the faults never ended")


def test_drafts_and_blobs_are_durable_before_the_one_commit(tmp_path: Path) -> None:
    with Store.create(tmp_path / "home", BASE) as store:
        store.close()
    with faults(Counter(0, lambda _: None)) as counter, Store.open(store.home, write=True) as store:
        counter.calls.clear()
        learn(store, "V1")
        calls = list(counter.calls)
    assert calls.count("lmdb commit") == 1
    assert calls[-1] == "lmdb committed", "nothing of the commit comes after it"
    renames = [n for n, call in enumerate(calls) if call == "replace"]
    assert len(renames) == 4, "three blobs and the session file"
    for at in renames:
        assert calls[at - 1] == "fsync", "a draft is fsynced before it is renamed"
        assert calls[at + 1 : at + 3] == ["open", "fsync"], "and its folder right after"
        assert at < calls.index("lmdb begin")


def test_drafts_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    with Store.create(tmp_path / "home", BASE) as store:
        draft = store.home / "tmp" / "abc.1.def"
    draft.write_bytes(b"half a blob")
    with Store.open(store.home):
        assert draft.exists(), "a reader leaves a running writer's drafts alone"
    with Store.open(store.home, write=True):
        assert not draft.exists()


def test_a_commit_from_a_stale_parent_is_refused(tmp_path: Path) -> None:
    from store import StoreBusyError, commit

    with Store.create(tmp_path / "home", BASE) as store:
        root = store.head
        learn(store, "V1")
        session = commit.new_session(root, "rm", removed="c1")
        with pytest.raises(StoreBusyError), store._records.write() as txn:
            commit.append(txn, session, lambda _: 0)
        assert [s.number for s in store.all_sessions()] == [0, 1]


def test_the_error_for_no_permission_is_a_usage_error(tmp_path: Path) -> None:
    with Store.create(tmp_path / "home", BASE) as store:
        for code in (errno.EACCES, errno.EROFS):
            with faults(Counter(1, strike(code))), pytest.raises(UsageError, match="cannot write"):
                store.put_blob(b"x")
