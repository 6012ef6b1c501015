"""Kill -9 at every call that touches the disk, for each operation of upkeep.

Run as a process of its own; prints each operation and at how many points it was killed. Exits
with a traceback at the first broken promise.
"""

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.store.faults import Counter, faults
from tests.store.kill_loop import die
from tests.store.upkeep import UPKEEP, check_after, ever_known, known


def killed_at(n: int, run: Callable[[], object]) -> bool:
    """Run something in a child that is killed at its call n; returns whether it was."""
    child = os.fork()
    if child == 0:
        with faults(Counter(n, die)):
            run()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, f"the child failed at call {n}"
    return os.WIFSIGNALED(status)


def loop(folder: Path, operation: str) -> None:
    template, root = folder / "template", folder / "root"
    shutil.rmtree(template, ignore_errors=True)
    template.mkdir()
    UPKEEP[operation][0](template)
    before, sessions = known(template / "home"), ever_known(template / "home")
    n, killed = 0, True
    while killed:
        n += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        killed = killed_at(n, partial(UPKEEP[operation][1], root))
        check_after(root, before, sessions, operation)
    sys.stdout.write(f"{operation} {n - 1}\n")


if __name__ == "__main__":
    for name in UPKEEP:
        loop(Path(sys.argv[1]), name)
