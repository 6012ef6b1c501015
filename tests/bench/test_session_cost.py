"""What a session costs is asked of `lfsd learn` itself."""

from pathlib import Path

import pytest

from benchmarks.session_cost import Cost, filled, measured, print_table
from lfsd.errors import UsageError
from lfsd.lifelong import LifelongModel
from store import Store
from tests.store.helpers import BASE, learn
from tests.tiny import tiny_base


def test_a_session_is_learned_from_a_copy(tmp_path: Path) -> None:
    home = tmp_path / "before-1"
    LifelongModel.create(home, str(tiny_base("pocket"))).close()
    cost = measured(home, 1, steps=1)
    assert cost.cpu > 0
    assert cost.memory > 100, "MB"
    assert 1 < cost.store < 1000, "KB, four contexts' latents among them"
    with Store.open(home) as store:
        assert store.concepts() == []
    assert [path.name for path in tmp_path.iterdir()] == ["before-1"]


def test_a_store_past_a_session_is_not_taken_for_the_one_before_it(tmp_path: Path) -> None:
    with Store.create(tmp_path / "grown", BASE) as store:
        for n in range(2):
            learn(store, f"V{n + 1}", n)
    with pytest.raises(UsageError, match="past session 2"):
        filled(tmp_path, [1, 2])
    homes = filled(tmp_path, [1, 3])
    with Store.open(homes[3]) as store:
        assert len(store.concepts()) == 2
    assert not homes[1].exists()


def test_medians_stand_beside_the_first_sessions(capsys: pytest.CaptureFixture[str]) -> None:
    early, late = Cost(8.0, 10.0, 800.0, 200.0), Cost(9.0, 11.0, 880.0, 60.0)
    worse = late._replace(cpu=13.0)
    print_table({1: [early, early], 30: [late, worse]})
    row = capsys.readouterr().out.splitlines()[2].split()
    assert row == ["30", "9.0", "12.0", "1.200", "880", "1.100", "60.0"]
