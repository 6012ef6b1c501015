"""Threads that spin while they wait, beside threads that sleep, on an idle and on a busy machine.

    python -m benchmarks.waiting [--rounds 3] [--pictures 4]

Draws pictures in a process of its own with OMP_WAIT_POLICY as the OpenMP library has it and with
PASSIVE, which `lfsd` sets unless somebody else has; the two in turn, the best of several rounds, in
seconds of wall-clock time for drawing alone. "Busy" is a process per core that computes all the
time.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from contextlib import ExitStack

DRAW = """
import sys, tempfile, time
from pathlib import Path
from lfsd import LifelongModel

with tempfile.TemporaryDirectory() as home:
    with LifelongModel.create(Path(home) / "home") as model:
        model.generate("a photo of a cat", seed=0)
        began = time.perf_counter()
        model.generate("a photo of a cat", n=int(sys.argv[1]), seed=1)
        print(time.perf_counter() - began)
"""


def seconds(policy: str | None, pictures: int) -> float:
    """What drawing takes in a new process."""
    env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if policy:
        env["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, "-c", DRAW, str(pictures)]
    said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    return float(said.split()[-1])


def compute() -> None:
    """Work without end, for somebody else."""
    while True:
        sum(range(10**5))


def compared(rounds: int, pictures: int) -> tuple[float, float]:
    """The best of `rounds`: as it is, and passive."""
    drawn = [(seconds(None, pictures), seconds("PASSIVE", pictures)) for _ in range(rounds)]
    spinning, sleeping = zip(*drawn, strict=True)
    return min(spinning), min(sleeping)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=4)
    args = parser.parse_args()
    print("| machine | as it is | passive | ratio |\n|---|---|---|---|")
    for name, others in (("idle", 0), ("busy", os.cpu_count() or 1)):
        with ExitStack() as stack:
            for _ in range(others):
                process = multiprocessing.Process(target=compute, daemon=True)
                process.start()
                stack.callback(process.kill)
            time.sleep(1)
            spinning, sleeping = compared(args.rounds, args.pictures)
        ratio = sleeping / spinning
        print(f"| {name} | {spinning:.1f} s | {sleeping:.1f} s | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
