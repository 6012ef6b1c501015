"""A short run of `benchmarks.import_fuzz`; the long one has no end but its minutes."""

import math
import random

import pytest

from benchmarks.import_fuzz import Doors, damaged, fuzz


def test_damaged_files_bring_only_documented_errors(capsys: pytest.CaptureFixture[str]) -> None:
    tried, wrong = fuzz(math.inf, 60, 7, None)
    assert wrong == 0, capsys.readouterr().out
    assert tried == {"photo": 30, "picture": 15, "backup": 15}


def test_an_undocumented_error_is_counted_and_its_file_kept(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Doors, rng: random.Random) -> None:
        self.case = self.folder / "case.png"
        self.case.write_bytes(b"bad")
        raise KeyError("chunk")

    monkeypatch.setattr(Doors, "picture", broken)
    kept = tmp_path_factory.mktemp("kept")
    _, wrong = fuzz(math.inf, 4, 7, kept)
    assert wrong == 1
    assert [p.read_bytes() for p in kept.iterdir()] == [b"bad"]


def test_damage_is_the_same_for_the_same_seed_and_never_nothing() -> None:
    good = bytes(range(256)) * 4
    cases = [damaged(good, [good], random.Random(seed)) for seed in range(50)]
    assert cases == [damaged(good, [good], random.Random(seed)) for seed in range(50)]
    assert sum(case == good for case in cases) < 5
