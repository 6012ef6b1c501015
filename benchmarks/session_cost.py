"""What a late session costs beside the first: the same photos, learned into stores of other ages.

    python -m benchmarks.session_cost [--sessions 1,2,30] [--steps N] [--rounds 2] [--folder DIR]

One store is filled with bundled subjects in short sessions and copied before each of the sessions
asked for; a --folder goes on from what it holds. Each of these is then learned from its copy by
`lfsd learn`, whole and by the defaults (but for --steps), as a process of its own, by turns.
Shown are medians: seconds, processor seconds and peak memory of the process, and what the session
added to blobs, records and sessions beyond its adapter.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from lfsd.errors import UsageError
from store import Store

SAMPLES = Path(str(files("lfsd") / "samples"))
MEASURED = "alarm_clock"
"""What every measured session learns; the other subjects fill the store."""
SHORT = ("--steps", "5", "--no-distill", "--set", "measure=false")
KEPT = ("blobs", "records", "sessions")
"""Folders of a home that hold the store; beside them lie previews and a lock."""
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes that `ru_maxrss` counts in."""


class Cost(NamedTuple):
    """Of one session; memory in MB, what it added to the store in KB."""

    seconds: float
    cpu: float
    memory: float
    store: float


def learn(home: Path, number: int, sample: str, *options: str) -> resource.struct_rusage:
    """`lfsd learn` of a bundled subject as the concept V`number`; what its process used."""
    noun = json.loads((SAMPLES / "samples.json").read_text())[sample]["class"]
    words = ["learn", str(SAMPLES / sample), "--token", f"V{number}", "--class", noun, *options]
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "lfsd_cli", *words, "--home", str(home)],
            stdout=told, stderr=told,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        assert process.returncode == 0, told.read().decode()
    return used


def concepts(home: Path) -> int:
    """How many concepts the store holds; 0 without a store."""
    if not Store.exists(home):
        return 0
    with Store.open(home) as store:
        return len(store.concepts())


def filled(folder: Path, numbers: list[int]) -> dict[int, Path]:
    """Session number -> the store as it is before that session; nothing is there before the first.

    UsageError if the folder's store has grown past a session that it was not copied before.
    """
    others = sorted(p.name for p in SAMPLES.iterdir() if p.is_dir() and p.name != MEASURED)
    grown, homes = folder / "grown", {n: folder / f"before-{n}" for n in sorted(numbers)}
    for number, home in homes.items():
        if number == 1 or home.exists():
            continue
        for more in range(concepts(grown) + 1, number):
            learn(grown, more, others[more % len(others)], *SHORT)
        if concepts(grown) != number - 1:
            raise UsageError(f"{grown} is past session {number}", "name another --folder")
        shutil.copytree(grown, home)
    return homes


def sizes(home: Path) -> dict[Path, int]:
    """Bytes of every file that the store consists of."""
    return {p: p.stat().st_size for part in KEPT for p in (home / part).rglob("*") if p.is_file()}


def measured(before: Path, number: int, steps: int | None) -> Cost:
    """Learn session `number` from a copy of the store as it was before it."""
    with tempfile.TemporaryDirectory(dir=before.parent) as folder:
        home = Path(folder) / "home"
        if before.exists():
            shutil.copytree(before, home)
        old, began = sizes(home), time.perf_counter()
        used = learn(home, number, MEASURED, *(("--steps", str(steps)) if steps else ()))
        seconds = time.perf_counter() - began
        new = sizes(home)
        adapter = max(size for path, size in new.items() if path not in old)
        added = sum(new.values()) - sum(old.values()) - adapter
    peak = used.ru_maxrss * PEAK_UNIT / 2**20
    return Cost(seconds, used.ru_utime + used.ru_stime, peak, added / 1e3)


def print_table(found: dict[int, list[Cost]]) -> None:
    """Medians over rounds, and shares of the earliest session's."""
    costs = {
        n: Cost(*(statistics.median(values) for values in zip(*rounds, strict=True)))
        for n, rounds in found.items()
    }
    first = costs[min(costs)]
    heads = ("session", "seconds", "CPU s", "of first", "peak MB", "of first", "KB added")
    print("".join(f"{head:>10}" for head in heads))
    for n, c in costs.items():
        cells = (f"{c.seconds:.1f}", f"{c.cpu:.1f}", f"{c.cpu / first.cpu:.3f}",
                 f"{c.memory:.0f}", f"{c.memory / first.memory:.3f}", f"{c.store:.1f}")  # fmt: skip
        print("".join(f"{cell:>10}" for cell in (n, *cells)))


def main() -> None:
    """Fill the stores, measure by turns, print one table and one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", default="1,2,30")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    wanted = parser.parse_args()
    numbers = sorted({int(number) for number in wanted.sessions.split(",")})
    with ExitStack() as stack:
        folder = wanted.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        homes = filled(folder, numbers)
        rounds = [
            {n: measured(home, n, wanted.steps) for n, home in homes.items()}
            for _ in range(wanted.rounds)
        ]
    print_table({n: [one[n] for one in rounds] for n in numbers})
    print(json.dumps({n: [r[n]._asdict() for r in rounds] for n in numbers}))


if __name__ == "__main__":
    main()
