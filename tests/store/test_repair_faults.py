"""A repair killed or failing at every call: no copy is lost, and the next repair ends it."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from store import LfsdError, ResourceError
from store.repair import repair
from tests.store.faults import Counter, faults
from tests.store.helpers import REPO
from tests.store.repairs import REPAIRED, check_repair, prepare_repair
from tests.store.test_crash import strike
from tests.store.test_repair import contents


@pytest.mark.slow
def test_kill_at_every_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.repairs", str(tmp_path)],
        cwd=REPO, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert [name for _, name in rows] == list(REPAIRED)
    assert all(int(points) >= 6 for points, _ in rows)


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("damage", REPAIRED)
def test_every_call_failing(tmp_path: Path, damage: str, lasting: bool) -> None:
    template, root = tmp_path / "template", tmp_path / "root"
    before = prepare_repair(template, damage)
    broken = contents(template / "home")
    refused = 0
    for n in range(1, 500):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        with faults(Counter(n, strike((errno.ENOSPC, errno.EIO)[n % 2]), lasting)) as counter:
            try:
                repair(root / "home")
            except LfsdError as error:
                refused += 1
                assert isinstance(error, ResourceError), repr(error)
                assert "\n" not in error.message
        check_repair(root, before, broken)
        if not counter.struck:
            break
    assert not counter.struck and refused >= 3
