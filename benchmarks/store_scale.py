"""What a store costs with 10 concepts and with 10,000, side by side.

    python -m benchmarks.store_scale [--few 10] [--many 10000] [--rounds 5] [--folder DIR]

The stores are filled through the store's own commits, with the sizes of a Stable Diffusion 1.5
concept in the records (one row of 768 floats, 3 photos) and small blobs; those found in --folder
are used again. Commands are run as processes with their output to a pipe, interleaved, the best of
several rounds, in seconds of processor time (so that a busy machine does not matter); `open` and
the look-ups are timed inside one process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from store import Context, NewConcept, Photo, Row, Store
from tests.store.helpers import BASE

COMMANDS = ("ls", "ls --json", "show T5", "store info", "store verify", "store verify --data")


def fill(home: Path, concepts: int) -> float:
    """Make a store; returns the seconds it took. Nothing here depends on durability: no fsync."""
    real, os.fsync = os.fsync, lambda _fd: None
    began = time.perf_counter()
    rng = np.random.default_rng(0)
    with Store.create(home, BASE) as made:
        for n in range(concepts):
            blob = made.put_tensors({"latent": rng.standard_normal((4, 4)).astype(np.float32)})
            reference = made.put_tensors({"photos": np.float32([n])})
            adapter = made.put_tensors({"lora": np.float32([n, n])})
            row = Row.of(0, f"T{n}", rng.standard_normal(768).astype(np.float32))
            concept = NewConcept(
                token=f"T{n}", class_noun="cat", rows=(row,), contexts=(Context(blob, 0),),
                photos=tuple(Photo(f"{i}.jpg", f"{n:064x}") for i in range(3)),
                reference=reference,
            )  # fmt: skip
            made.commit_learn(
                concept=concept, adapter=adapter, settings={"steps": 400}, metrics={},
                versions={"lfsd": "0.1.0"}, seconds=60.0,
            )  # fmt: skip
    os.fsync = real
    return time.perf_counter() - began


def filled(folder: Path, concepts: int) -> Path:
    """The store of so many concepts in `folder`, filled if it is not there yet."""
    home = folder / str(concepts)
    if not Store.exists(home):
        print(f"{concepts} concepts: filled in {fill(home, concepts):.1f} s")
    return home


def command(home: Path, words: str) -> float:
    """Run one command to its end; returns its seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "lfsd_cli", *words.split(), "--home", str(home)],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def inside(home: Path, rounds: int) -> dict[str, float]:
    """What is timed without the start of a process."""
    found = {"open": best(lambda: Store.open(home).close(), rounds)}
    with Store.open(home) as opened:
        found["token look-up"] = best(lambda: opened.concept("T5"), rounds)
        found["head"] = best(lambda: opened.head, rounds)
    return found


def best(run: Callable[[], object], rounds: int) -> float:
    """Processor seconds of the fastest of several runs."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Fill two stores, measure, print one table and one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--few", type=int, default=10)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    wanted = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        folder = wanted.folder or stack.enter_context(tempfile.TemporaryDirectory())
        homes = {n: filled(Path(folder), n) for n in (wanted.few, wanted.many)}
        for n, home in homes.items():
            size = (home / "records" / "data.mdb").stat().st_size
            print(f"{n} concepts: records {size / 1e6:.1f} MB")
        for words in COMMANDS:
            rounds = [
                {n: command(home, words) for n, home in homes.items()} for _ in range(wanted.rounds)
            ]
            found[words] = {str(n): min(times[n] for times in rounds) for n in homes}
        for n, home in homes.items():
            for name, seconds in inside(home, 20 * wanted.rounds).items():
                found.setdefault(name, {})[str(n)] = seconds
    few, many = str(wanted.few), str(wanted.many)
    print(f"{'':22}{few:>12}{many:>12}   ratio")
    for name, times in found.items():
        ratio = times[many] / times[few]
        print(f"{name:22}{times[few]:>10.4f} s{times[many]:>10.4f} s{ratio:>8.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
