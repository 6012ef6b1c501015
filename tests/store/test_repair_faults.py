"""A repair killed or failing at every call: no copy is lost, and the next repair ends it."""

import subprocess
import sys
from pathlib import Path

import pytest

from store.repair import repair
from tests.store.failing import every_call_failing
from tests.store.helpers import REPO
from tests.store.repairs import REPAIRED, check_repair, prepare_repair
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
    refused = every_call_failing(
        template,
        root,
        lasting,
        lambda: repair(root / "home"),
        lambda: check_repair(root, before, broken),
    )
    assert refused >= 3
