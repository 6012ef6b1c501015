"""Every method through the runner; a killed run goes on to the same lines; the report of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.lifelong.drawn import LATE, WAYS, Way, drawn
from benchmarks.lifelong.drawn import main as drawn_main
from benchmarks.lifelong.methods import METHODS, PLAIN, Method, pools
from benchmarks.lifelong.methods.penalties import Ewc
from benchmarks.lifelong.protocol import Protocol, Session
from benchmarks.lifelong.remembered import main as remembered_main
from benchmarks.lifelong.remembered import remembered
from benchmarks.lifelong.report import write_report
from benchmarks.lifelong.runner import COSTS, Bench
from benchmarks.plasticity import PLACES
from lfsd.base import BaseModel
from lfsd.errors import UsageError
from lfsd.judge import Judge


@pytest.fixture(scope="module")
def bench(
    base: BaseModel,
    protocol: Protocol,
    sessions: list[Session],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    out = tmp_path_factory.mktemp("bench")
    return Bench(base, Judge.load(base.folder), protocol, sessions, out)


def elsewhere(bench: Bench, out: Path, protocol: Protocol | None = None) -> Bench:
    return Bench(bench.base, bench.judge, protocol or bench.protocol, bench.sessions, out)


def figures(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in COSTS} for line in lines]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_two_sessions(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "CLASS_PICTURES", 2)
    method = METHODS[name]
    if method.trained_as:
        bench.run(METHODS[method.trained_as], 0)
    first, last = bench.run(method, 0)
    assert list(first["fidelity"]) == ["V1"] and list(last["fidelity"]) == ["V1", "V2"]
    assert last["new"] == last["fidelity"]["V2"]
    assert not first["pcf"] and list(last["pcf"]) == ["V1"]
    assert list(last["rcf"]) == ["cat", "dog"]
    numbers = [v for noun in last["rcf"].values() for v in noun.values()]
    assert list(last["taken_for"]) == ["V1", "V2"]
    numbers += [v for shares in last["taken_for"].values() for v in shares.values()]
    numbers += [last[k] for k in ("photos_confused", "text_alignment", "scene_accuracy", *COSTS)]
    assert np.isfinite(numbers).all()
    assert last["bytes"] > first["bytes"] > 0
    untouched = all(noun["drift"] == 0 for noun in last["rcf"].values())
    assert untouched == (name == "separate"), "a prompt without a token is the base's"
    assert not bench.base.tokens, "the base is left as it was"
    if method.trained_as:
        mine, theirs = (bench.journal(n, 0).state(2) for n in (name, method.trained_as))
        assert all(np.array_equal(theirs[k], mine[k]) for k in theirs if k.startswith("adapter/"))


class Dying(Ewc):
    """Killed in the middle of the second session."""

    def learn(self, session: Session) -> None:
        super().learn(session)
        if session.number == 2:
            raise KeyboardInterrupt


def test_a_killed_run_goes_on_to_the_same_lines(bench: Bench, tmp_path: Path) -> None:
    whole = bench.run(METHODS["ewc"], 0)
    killed = elsewhere(bench, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        killed.run(Method("ewc", "", Dying, PLAIN), 0)
    journal = killed.journal("ewc", 0)
    assert len(journal.lines()) == 1
    # and killed again while a line was being written
    with (journal.folder / "sessions.jsonl").open("a") as file:
        file.write('{"session": 2, "tok')
    resumed = killed.run(METHODS["ewc"], 0)
    assert figures(resumed) == figures(whole)
    mine, theirs = journal.state(2), bench.journal("ewc", 0).state(2)
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[k], theirs[k]) for k in mine)
    text = (journal.folder / "sessions.jsonl").read_text()
    assert [json.loads(line)["session"] for line in text.splitlines()] == [1, 2]
    assert killed.run(METHODS["ewc"], 0) == resumed, "what is done is not done again"


def test_other_conditions_need_another_folder(bench: Bench) -> None:
    bench.run(METHODS["naive"], 0)
    longer = replace(bench.protocol, settings={**bench.protocol.settings, "steps": 3})
    with pytest.raises(UsageError, match="another protocol"):
        elsewhere(bench, bench.out, longer).run(METHODS["naive"], 0)


def test_joint_waits_for_the_sessions_that_are_examined(bench: Bench, tmp_path: Path) -> None:
    three = [*bench.sessions, replace(bench.sessions[0], number=3, token="V3", class_noun="car")]
    lessons = tuple(
        replace(bench.protocol.lessons[0], number=s.number, token=s.token) for s in three
    )
    protocol = replace(bench.protocol, lessons=lessons, every=3)
    sparse = Bench(bench.base, bench.judge, protocol, three, tmp_path)
    lines = sparse.run(METHODS["joint"], 0)
    assert [line["full"] for line in lines] == [True, False, True]
    assert lines[1] == {"session": 2, "token": "V2", "full": False}
    assert list(lines[2]["fidelity"]) == ["V1", "V2", "V3"]
    assert list(lines[2]["pcf"]) == ["V1"], "V2 was never seen just learned"


def test_what_is_remembered_is_asked_of_the_states(bench: Bench, tmp_path: Path) -> None:
    for name in ("separate", "naive"):
        bench.run(METHODS[name], 0)
    learned, end = remembered(bench, METHODS["separate"], 0) or ([], [])
    assert learned == end, "what has an adapter of its own stays as it was learned"
    learned, end = remembered(bench, METHODS["naive"], 0) or ([], [])
    assert len(end) == len(PLACES) and min(learned + end) > 0
    assert end != learned
    assert not bench.base.tokens, "the base is left as it was"
    assert remembered(bench, METHODS["naive"], 7) is None, "never run"
    assert remembered(elsewhere(bench, tmp_path), METHODS["naive"], 0) is None


def test_what_is_drawn_depends_on_the_way(bench: Bench, tmp_path: Path) -> None:
    last = bench.run(METHODS["ours"], 0)[-1]
    ways = {name: drawn(bench, METHODS["ours"], 0, way) for name, way in WAYS.items()}
    assert len(set(ways.values())) == len(WAYS), "no two ways draw the same"
    own = Way(0.5, LATE)
    plain, first, confused, aligned = drawn(bench, METHODS["ours"], 0, own) or (0.0,) * 4
    assert plain == pytest.approx(fmean(last["fidelity"].values())), "as the run's own last line"
    assert first == pytest.approx(last["fidelity"]["V1"])
    assert aligned == pytest.approx(last["text_alignment"])
    assert 0 <= confused <= 1
    assert not bench.base.tokens, "the base is left as it was"
    assert drawn(elsewhere(bench, tmp_path), METHODS["ours"], 0, own) is None


@pytest.mark.parametrize("main", [remembered_main, drawn_main])
def test_nothing_to_ask_is_said_plainly(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--protocol", "short", "--out", str(tmp_path), "--methods", "naive"]
    assert main([*arguments, "--seeds", "0"]) == 1
    assert "no whole run" in capsys.readouterr().err


def test_the_report_of_real_runs(bench: Bench) -> None:
    for name in ("separate", "naive", "icgen"):
        bench.run(METHODS[name], 0)
    text = write_report(bench.out).read_text()
    assert "## Methods" in text and "## Ablations" in text
    kept = next(line for line in text.splitlines() if line.startswith("| separate"))
    assert "100.0%" in kept
    sheet = Image.open(bench.out / "report/methods-sheet.png")
    assert sheet.height > 2 * 96 and sheet.getextrema() != ((255, 255),) * 3
    assert (bench.out / "report/methods-fidelity.png").is_file()
