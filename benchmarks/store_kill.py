"""Kill -9 at random moments over everything that writes a store; nothing acknowledged may be lost.

    python -m benchmarks.store_kill [--kills 200] [--seed 0] [--folder DIR]

A child runs learn-commit, rm, undo, goto, gc, compact, backup and migrate in random order and
writes the head to a file outside the store whenever one of them has returned. It is killed at a
random moment, a few operations later. Then the store must verify clean, every byte of it; its head
must be the last one acknowledged, or what the operation under way makes of it; and every session
ever acknowledged must be in the records, or in the trash from where it comes back. The folder may
be in memory: killing a process, unlike a power cut, loses nothing that the kernel has.
"""

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from store import NotFoundError, Store
from store.backup import backup
from store.collect import collect
from store.compact import compact
from store.migrate import migrate
from store.trash import restore_trash
from store.verify import verify_home
from tests.store.helpers import BASE, learn

OPERATIONS = ("learn", "learn", "rm", "undo", "goto", "gc", "thin", "compact", "backup", "migrate")


def work(root: Path, seed: int) -> None:
    """Go on until killed; what has returned is written to `told`, one line each."""
    rng = random.Random(seed)
    told = os.open(root / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(kind: str, operation: str, head: str) -> None:
        os.write(told, json.dumps([kind, operation, head]).encode() + b"\n")

    home = root / "home"
    while True:
        with Store.open(home) as store:
            head = store.head
        operation = rng.choice(OPERATIONS)
        say("begin", operation, head.id)
        after = run(home, operation, rng)
        say("done", operation, after)


def run(home: Path, operation: str, rng: random.Random) -> str:
    """Do one operation; returns the head after it."""
    if operation == "backup":
        dest = home.parent / "backup"
        old = home.parent / "old"
        shutil.rmtree(old, ignore_errors=True)
        if dest.exists():
            dest.replace(old)  # or a kill while it is removed would look like half a backup
        with Store.open(home) as store:
            backup(store, dest)
    elif operation == "migrate":
        migrate(home)
    else:
        with Store.open(home, write=True) as store:
            change(store, operation, rng)
    with Store.open(home) as store:
        return store.head.id


def change(store: Store, operation: str, rng: random.Random) -> None:
    """Do one of the operations that need the lock."""
    tokens = [concept.token for concept in store.concepts()]
    if operation == "learn" or (operation in ("rm", "undo") and not tokens):
        learn(store, f"T{rng.randrange(10**9)}", rng.randrange(10**6))
    elif operation == "rm":
        store.commit_rm(rng.choice(tokens))
    elif operation in ("undo", "goto"):
        # A kill between a thinning and its way back leaves sessions that are refused by name.
        with suppress(NotFoundError):
            store.undo() if operation == "undo" else store.goto(rng.choice(store.all_sessions()).id)
    elif operation == "gc":
        collect(store, grace=timedelta(0))
    elif operation == "thin":
        # Thinned sessions can be gone back to after this only: goto would refuse them.
        collect(store, grace=timedelta(0), keep_sessions=2)
        restore_trash(store)
    elif operation == "compact":
        compact(store)


def check(root: Path, told: list[list[str]]) -> str:
    """Look at what a kill left; returns "old", "new" or "idle"."""
    home = root / "home"
    problems = verify_home(home, data=True)
    assert problems == [], problems
    if (root / "backup").exists():
        assert verify_home(root / "backup", data=True) == [], "a backup is whole or not there"
    with Store.open(home) as store:
        head = store.head
    last = told[-1] if told else None
    if last is None or last[0] == "done":
        assert last is None or head.id == last[2], "an acknowledged state is gone"
        return "idle"
    _, operation, before = last
    if head.id == before:
        return "old"
    assert operation not in ("gc", "thin", "compact", "backup", "migrate"), operation
    if operation in ("learn", "rm"):
        assert head.parent == before, f"{operation}: neither old nor new"
    return "new"


def lost(home: Path, acknowledged: set[str]) -> set[str]:
    """Every session that was acknowledged and is nowhere."""
    with Store.open(home, write=True) as store:
        restore_trash(store)
        there = {session.id for session in store.all_sessions()}
    assert verify_home(home, data=True) == []
    return acknowledged - there


def read_told(root: Path) -> list[list[str]]:
    """What the child said; a kill may cut its last line short."""
    lines = (root / "told").read_bytes().split(b"\n")[:-1] if (root / "told").exists() else []
    return [json.loads(line) for line in lines]


def await_operations(root: Path, child: int, count: int) -> None:
    """Wait until the child has begun so many operations, however slow the machine is."""
    while sum(line[0] == "begin" for line in read_told(root)) < count:
        time.sleep(0.001)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return


def main() -> None:
    """Run the loop and print what it saw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    wanted = parser.parse_args()
    rng = random.Random(wanted.seed)
    acknowledged: set[str] = set()
    seen: Counter[str] = Counter()
    during: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        root = Path(folder)
        Store.create(root / "home", BASE).close()
        for n in range(wanted.kills):
            (root / "told").unlink(missing_ok=True)
            child = os.fork()
            if child == 0:
                try:
                    work(root, rng.randrange(10**9) + n)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(1)
            await_operations(root, child, rng.randint(1, 6))
            time.sleep(rng.uniform(0.0, 0.03))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status), "the child ended by itself: see its traceback above"
            told = read_told(root)
            seen[check(root, told)] += 1
            if told and told[-1][0] == "begin":
                during[told[-1][1]] += 1
            acknowledged |= {head for kind, _, head in told if kind == "done"}
            if n % 10 == 9:
                assert not lost(root / "home", acknowledged)
        gone = lost(root / "home", acknowledged)
    states = ", ".join(f"{seen[name]} {name}" for name in ("old", "new", "idle"))
    print(f"{wanted.kills} kills: {states}; {len(acknowledged)} sessions acknowledged")
    print("under way: " + ", ".join(f"{name} {count}" for name, count in during.most_common()))
    print(f"{len(gone)} acknowledged sessions lost")
    raise SystemExit(1 if gone else 0)


if __name__ == "__main__":
    main()
