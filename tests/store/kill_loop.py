"""Kill -9 at every call that touches the disk, for each operation; run as a process of its own.

Prints one line per operation: its name, how many points it was killed at, and how many of those
left the old state and the new one. Exits with a traceback at the first broken promise.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from store import Store
from store.verify import verify
from tests.store.faults import Counter, faults
from tests.store.helpers import BASE, state
from tests.store.operations import OPERATIONS, prepare


def die(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def look(home: Path) -> object:
    with Store.open(home, write=True) as store:
        problems = verify(store, data=True)
        assert problems == [], problems
        # Ids and times are made anew each run: compare what they hang on.
        sessions, concepts, blobs = state(store)  # type: ignore[misc]
        return (
            [(s.number, s.kind, s.adapter, s.metrics) for s in sessions],
            [(c.token, c.rows) for c in concepts],
            blobs,
        )


def killed_at(home: Path, n: int, operation: str) -> tuple[bool, bool]:
    """Run an operation in a child killed at call n; return (was killed, acknowledged)."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with faults(Counter(n, die)):
            if operation == "create":
                Store.create(home, BASE)
            else:
                with Store.open(home, write=True) as store:
                    OPERATIONS[operation](store)
                    os.close(write)  # stands for the exit status the user sees
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    os.close(read)
    assert os.WIFSIGNALED(status) or status == 0, f"the child failed at call {n}"
    return os.WIFSIGNALED(status), status == 0


def loop(root: Path, operation: str) -> None:
    template, home, done = root / "template", root / "home", root / "done"
    shutil.copytree(template, done)
    killed_at(done, 10**9, operation)
    old, new = look(template), look(done)
    counts = {"old": 0, "new": 0}
    n = 0
    while True:
        n += 1
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template, home)
        killed, _ = killed_at(home, n, operation)
        now = look(home)
        assert now in (old, new), f"{operation}: neither old nor new after call {n}"
        counts["new" if now == new else "old"] += 1
        if not killed:
            assert now == new, f"{operation}: acknowledged and lost"
            break
    sys.stdout.write(f"{operation} {n - 1} {counts['old']} {counts['new']}\n")
    shutil.rmtree(done)


def create_loop(root: Path) -> None:
    home = root / "made"
    n, started_over = 0, 0
    while True:
        n += 1
        shutil.rmtree(home, ignore_errors=True)
        killed, _ = killed_at(home, n, "create")
        if not Store.exists(home):
            started_over += 1
            Store.create(home, BASE).close()
        look(home)
        if not killed:
            break
    sys.stdout.write(f"create {n - 1} {started_over} {n - started_over}\n")


def main(root: Path) -> None:
    prepare(root / "template")
    for operation in OPERATIONS:
        loop(root, operation)
    create_loop(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
