"""Tables from lines whose figures are known, and the charts."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.lifelong.chart import COLOURS, line_chart, ticks
from benchmarks.lifelong.journal import Journal
from benchmarks.lifelong.report import groups, main, write_report
from benchmarks.lifelong.results import read_results

ABOUT = {
    "protocol": {
        "lessons": [{"token": "V1", "source": "sprite"}, {"token": "V2", "source": "photos"}]
    },
    "photos": {"V1": ["s"], "V2": ["p"]},
    "base": "b",
    "judge": "j",
    "device": "cpu",
    "precision": "float32",
}


def line(number: int, fidelity: list[float], change: float, seconds: float) -> dict[str, object]:
    noun = {"drift": 0.02, "toward": 0.1, "away": 0.2, "diversity": 0.3, "diversity_before": 0.6}
    return {
        "session": number,
        "token": f"V{number}",
        "full": True,
        "fidelity": {f"V{i}": value for i, value in enumerate(fidelity, 1)},
        "new": fidelity[-1],
        "pcf": {"V1": {"change": change, "similarity": 0.9}} if number > 1 else {},
        "rcf": {"cat": noun},
        "taken_for": {"V1": {"V1": 0.75, "V2": 0.25}, "V2": {"V1": 0.25, "V2": 0.75}},
        "text_alignment": 0.5,
        "scene_accuracy": 1.0,
        "seconds": seconds,
        "cpu_seconds": seconds,
        "peak_bytes": 10**8,
        "bytes": 1_000_000 + 5_000 * number,
    }


def add_run(
    out: Path,
    method: str,
    seed: int,
    last: float,
    change: float = -0.2,
    sessions: int = 2,
    about: dict[str, object] = ABOUT,
) -> None:
    journal = Journal(out / method / f"seed-{seed}")
    journal.open(about)
    lines = [line(1, [0.8], 0.0, 10.0), line(2, [last, 0.8], change, 20.0)]
    pictures = journal.folder / "pictures"
    pictures.mkdir()
    for number, figures in enumerate(lines[:sessions], 1):
        journal.add(number, figures, {"adapter/x": np.zeros(1, np.float32)})
        Image.new("RGB", (64, 32), "teal").save(pictures / f"V{number}.png")
        (out / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), "olive").save(out / "photos" / f"V{number}.png")


def row(text: str, section: str, method: str) -> dict[str, str]:
    """Heading -> cell."""
    part = text.split(f"### {section}", 1)[1].split("###", 1)[0]
    head = next(x for x in part.splitlines() if x.startswith("| method |"))
    (found,) = [x for x in part.splitlines() if x.startswith(f"| {method} |")]
    cells = [[cell.strip() for cell in some.strip("|").split("|")] for some in (head, found)]
    return dict(zip(*cells, strict=True))


def test_figures_are_means_with_their_spread(tmp_path: Path) -> None:
    for seed, last in enumerate((0.4, 0.6)):
        add_run(tmp_path, "naive", seed, last)
        add_run(tmp_path, "separate", seed, 0.8, change=0.0)
        add_run(tmp_path, "ours", seed, 0.7, change=-0.05)
    text = write_report(tmp_path).read_text()
    naive = row(text, "Concepts", "naive")
    assert naive["seeds"] == "2"
    assert naive["when learned"] == "0.800 ± 0.000"
    # (0.4 + 0.8) / 2 and (0.6 + 0.8) / 2, and as shares of 0.8
    assert naive["at the end"] == "0.650 ± 0.071"
    assert naive["of separate"] == "81.2% ± 8.8%"
    assert naive["plasticity"] == "100.0% ± 0.0%"
    assert naive["PCF lost"] == "0.200 ± 0.000"
    assert row(text, "Class nouns", "ours")["of the base's"] == "50.0% ± 0.0%"
    assert row(text, "Forgetting as a share of naive's", "ours")["PCF lost"] == "25.0% ± 0.0%"
    costs = row(text, "Costs of a session", "ours")
    assert (
        costs["seconds"] == "15.0 ± 0.0"
        and costs["KB a concept"] == "5.0 ± 0.0"
        and costs["late/early CPU"] == "2.00 ± 0.00"
    )


def test_a_run_cut_short_is_named_and_not_counted(tmp_path: Path) -> None:
    add_run(tmp_path, "naive", 0, 0.4)
    add_run(tmp_path, "naive", 1, 0.6, sessions=1)
    text = write_report(tmp_path).read_text()
    assert "Seeds 0; seed 1 stopped after 1" in text
    assert row(text, "Concepts", "naive")["at the end"] == "0.600", "one seed has no spread"


def test_other_settings_and_ablations_stand_beside_what_they_change(tmp_path: Path) -> None:
    for method in (
        "dfkd",
        "dfkd+rank=8",
        "ours+rank=8",
        "ours+replay=2",
        "ours",
        "replay+rank=8",
        "naive",
    ):
        add_run(tmp_path, method, 0, 0.6)
    assert groups(read_results(tmp_path)) == {
        "Methods": ["naive", "replay+rank=8", "ours"],
        "Settings": ["ours", "ours+rank=8", "ours+replay=2"],
        "Ablations": ["ours", "ours+rank=8", "dfkd", "dfkd+rank=8"],
    }


def test_lines_alone_make_a_report_elsewhere(tmp_path: Path) -> None:
    add_run(tmp_path / "runs", "naive", 0, 0.4)
    shutil.rmtree(tmp_path / "runs" / "photos")
    shutil.rmtree(tmp_path / "runs" / "naive/seed-0/pictures")
    kept = sorted((tmp_path / "runs").rglob("*"))
    path = write_report(tmp_path / "runs", tmp_path / "elsewhere")
    assert path == tmp_path / "elsewhere" / "report.md"
    assert row(path.read_text(), "Concepts", "naive")["at the end"] == "0.600"
    assert (tmp_path / "elsewhere/report/methods-fidelity.png").is_file()
    assert "sheet.png" not in path.read_text()
    assert sorted((tmp_path / "runs").rglob("*")) == kept, "nothing is written beside the runs"


def test_sprites_rounded_on_another_machine_are_the_same_photos(tmp_path: Path) -> None:
    add_run(tmp_path, "naive", 0, 0.4)
    add_run(tmp_path, "ours", 0, 0.7, about={**ABOUT, "photos": {"V1": ["t"], "V2": ["p"]}})
    assert main([str(tmp_path)]) == 0


@pytest.mark.parametrize("other", [{"base": "c"}, {"photos": {"V1": ["s"], "V2": ["q"]}}])
def test_runs_of_two_protocols_are_not_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, object]
) -> None:
    add_run(tmp_path, "naive", 0, 0.4)
    Journal(tmp_path / "ours/seed-0").open({**ABOUT, **other})
    assert main([str(tmp_path)]) == 1
    assert "several protocols" in capsys.readouterr().err


def test_an_empty_folder_is_said_plainly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    assert "holds no lines" in capsys.readouterr().err


@pytest.mark.parametrize("low, high", [(0.31, 0.87), (-0.002, 0.013), (5.0, 5.0), (0, 30)])
def test_ticks_are_round_and_span(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 9
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0])
    assert round(float(f"{steps[0]:e}".split("e")[0]), 6) in (1, 2, 5)


def test_a_line_is_drawn_where_its_numbers_are() -> None:
    image = line_chart("t", "session", {"up": [(1, 0.0), (2, 1.0)], "flat": [(1, 0.0), (2, 0.0)]})
    pixels = np.asarray(image)[:, :700]
    first = np.argwhere((pixels == COLOURS[0]).all(-1))
    flat = np.argwhere((pixels == COLOURS[1]).all(-1))
    # rows count downward: the rising line ends above where it began, the flat one stays low
    left, right = first[first[:, 1].argmin()], first[first[:, 1].argmax()]
    assert right[0] < left[0] - 200
    assert np.ptp(flat[:, 0]) < 10
