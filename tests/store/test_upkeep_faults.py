"""gc, compact, backup and restore, killed or failing at every call: what is known stays known."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.failing import every_call_failing
from tests.store.helpers import REPO
from tests.store.upkeep import UPKEEP, check_after, ever_known, known


@pytest.mark.slow
def test_kill_at_every_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.kill_upkeep", str(tmp_path)],
        cwd=REPO, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == list(UPKEEP)
    assert all(int(points) >= 6 for _, points in rows)


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("operation", UPKEEP)
def test_every_call_failing(tmp_path: Path, operation: str, lasting: bool) -> None:
    template, root = tmp_path / "template", tmp_path / "root"
    prepare, run = UPKEEP[operation]
    template.mkdir()
    prepare(template)
    before, sessions = known(template / "home"), ever_known(template / "home")
    refused = every_call_failing(
        template,
        root,
        lasting,
        lambda: run(root),
        lambda: check_after(root, before, sessions, operation),
    )
    assert refused >= 3


def test_a_kill_loop_of_a_few_seconds(tmp_path: Path) -> None:
    """The short version of `python -m benchmarks.store_kill`."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.store_kill", "--kills", "8", "--folder", str(tmp_path)],
        cwd=REPO, capture_output=True, text=True, timeout=500, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "8 kills" in done.stdout and "0 acknowledged sessions lost" in done.stdout
