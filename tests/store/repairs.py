"""A damaged store, and what a repair of it must keep whatever stops it."""

import shutil
import sys
from functools import partial
from pathlib import Path

from store import Store
from store.repair import repair
from store.verify import verify_home
from tests.store.helpers import state
from tests.store.kill_upkeep import killed_at
from tests.store.test_repair import DAMAGE, contents, make, seen

#: between them, every kind of thing that a repair makes anew
REPAIRED = ("format and records", "session files flipped")


def prepare_repair(root: Path, damage: str) -> object:
    """Make `home`, damaged; returns what it knew."""
    make(root / "home")
    before = seen(root / "home")
    DAMAGE[damage](root / "home")
    return before


def check_repair(root: Path, before: object, broken: set[str]) -> None:
    """Nothing is gone, and the next repair brings everything back."""
    home = root / "home"
    assert broken <= contents(home), "nothing is deleted"
    assert repair(home).problems == []
    assert verify_home(home, data=True) == []
    assert broken <= contents(home)
    with Store.open(home, write=True) as store:
        if state(store) != before[0]:  # type: ignore[index] # the head's record was damaged
            store.undo()
    assert seen(home) == before
    assert repair(home).steps == []


def kill_loop(folder: Path, damage: str) -> int:
    """Kill a repair at each of its calls in turn; returns how many there are."""
    template, root = folder / "template", folder / "root"
    for path in (template, root):
        shutil.rmtree(path, ignore_errors=True)
    before = prepare_repair(template, damage)
    broken = contents(template / "home")
    n, killed = 0, True
    while killed:
        n += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        killed = killed_at(n, partial(repair, root / "home"))
        check_repair(root, before, broken)
    return n - 1


if __name__ == "__main__":
    for name in REPAIRED:
        sys.stdout.write(f"{kill_loop(Path(sys.argv[1]), name)} {name}\n")
