"""Every kind of file flipped and cut at random places: named, refused by name, or without effect.

Each case is read in a process of its own, as a user's command would be. `LFSD_FLIPS` sets how many
cases; 2,000 take some minutes.
"""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from store import Store
from store.collect import collect
from tests.store.helpers import BASE, learn, run, state

CASES = int(os.environ.get("LFSD_FLIPS", "120"))

CODE = """
import os, pathlib, random, sys
from store import LfsdError, Store, StoreCorruptError, UsageError, NotFoundError
from store.verify import verify_home
from tests.store.helpers import state
home, expected = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()
walk = sys.argv[4] == 'walk'
import store.pages
if not walk: store.pages.WALKED_ON_OPEN = 0
paths = sorted(p for p in home.rglob('*') if p.is_file() and p.name not in ('lock', 'lock.mdb'))
rng = random.Random(7)

def answer():
    with Store.open(home) as opened: return repr(state(opened))

def child():
    # 0 right, 1 named by verify, 2 refused on open, 3 silent wrong answer, 4 traceback
    try:
        try: same = answer() == expected
        except (StoreCorruptError, UsageError, NotFoundError): same = None
        problems = verify_home(home, data=True)
        if problems: return 1
        return 2 if same is None else 0 if same else 3
    except (StoreCorruptError, UsageError, NotFoundError): return 2
    except BaseException as error: sys.stderr.write(repr(error)); return 4

def case(path):
    good = path.read_bytes()
    if rng.random() < 0.2: bad = good[:rng.randrange(len(good))]
    else:
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 1, 8))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        bad = bytes(data)
    path.write_bytes(bad)
    pid = os.fork()
    if pid == 0: os._exit(child())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    path.write_bytes(good)
    return code

codes = []
for n in range(int(sys.argv[3])):
    # Half of the cases go to the records file, the rest to all others in turn.
    path = home / 'records' / 'data.mdb' if n % 2 else paths[n // 2 % len(paths)]
    code = case(path)
    codes.append(code)
    if code not in (0, 1, 2): sys.stderr.write(f'{path}: {code}\\n')
print(*[codes.count(code) for code in (0, 1, 2)], len(codes))
"""


@pytest.mark.slow
def test_no_crash_and_no_silent_wrong_answer(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Store.create(home, BASE) as store:
        for n in range(1, 5):
            learn(store, f"V{n}", n)
        store.commit_rename("V2", "MAX")
        store.undo()
        collect(store, grace=timedelta(0))
        (tmp_path / "expected").write_text(repr(state(store)))
    out = run(CODE, str(home), str(tmp_path / "expected"), str(CASES), "walk", timeout=1800)
    right, named, refused, total = (int(word) for word in out.split())
    assert right + named + refused == total == CASES
    assert named > CASES // 4
