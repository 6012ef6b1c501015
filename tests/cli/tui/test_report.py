"""Report: the stored matrix, a fresh one, and the pictures behind a cell."""

import json
from pathlib import Path

from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.drawing import Drawing
from lfsd_cli.tui.heatmap import HeatMap, Matrix, heat
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.screens.confirm import AskScreen
from store.store import Store
from tests.cli.tui.support import finish, in_room, pretend, shown, until


async def test_the_stored_matrix_and_what_is_behind_a_cell(learned: Path, tmp_path: Path) -> None:
    with Store.open(learned, write=True) as store:
        head = store.head.id
        store.update_metrics(head, {"fidelity": {"V1": 0.6, "V2": 0.7}})
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f6")
        await until(pilot, lambda: in_room(app, "report"))
        grid = app.screen.query_one(HeatMap)
        cells = ((0.75, None), (0.6, 0.7))
        await until(pilot, lambda: grid.matrix == Matrix.of((1, 2), ("V1", "V2"), cells))
        assert (grid.row, grid.column) == (1, 0), "at the newest session"
        await until(pilot, lambda: "V1 cat after session 2: 0.600, 80%" in shown(app, "#cell"))
        assert "[0.600 ]" in grid.render_line(2).text and "0.750" in grid.render_line(1).text
        await pilot.press("right", "right", "down")
        assert (grid.row, grid.column) == (1, 1)
        await until(pilot, lambda: "V2 teddy bear after session 2" in shown(app, "#cell"))
        await pilot.click(grid, offset=(10, 1))
        assert (grid.row, grid.column) == (0, 0)

        pretend(app, Job("learning", ["learn"]))
        await pilot.press("enter")
        await until(pilot, lambda: in_room(app, "generate") and bool(app.jobs.waiting))
        asked = app.jobs.waiting[0].about
        assert isinstance(asked, Drawing)
        assert (asked.prompt, asked.seed, asked.n) == ("a photo of a V1 cat", 1000, 2)
        assert "--context-blend 0.0" in " ".join(asked.words(tmp_path))
        assert app.snapshot.sessions[1].id == asked.as_of


async def test_measuring_anew(learned: Path, tmp_path: Path) -> None:
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f6")
        await until(pilot, lambda: in_room(app, "report") and bool(app.snapshot.concepts))
        pretend(app, Job("learning", ["learn"]))
        await pilot.press("M", "h")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.jobs.waiting) == 2)
        full, paged = app.jobs.waiting
        assert "--quick" not in full.words
        assert f"--html={Path.cwd() / 'lfsd-report.html'}" in paged.words
        matrix = {
            "sessions": [1, 2],
            "concepts": ["V1", "V2"],
            "fidelity": [[0.9, None], [0.8, 0.7]],
        }
        report = {"matrix": matrix, "fidelity": {"V1": 0.8}, "plan": {"steps": 20, "seed": 3}}
        full.state = State.RUNNING
        finish(app, full, 0, json.dumps({"report": report}).encode())
        grid = app.screen.query_one(HeatMap)
        await until(pilot, lambda: grid.matrix.cells == ((0.9, None), (0.8, 0.7)))
        assert "measured now" in shown(app, "#what")
        paged.state = State.RUNNING
        finish(app, paged, 1, b"", error={"message": "no judge", "hint": ""})
        await until(pilot, lambda: shown(app, "#what") == "no judge")


def test_colours_of_the_heat() -> None:
    fine, worn, lost = (str(heat(now, 1.0).bgcolor) for now in (1.0, 0.9, 0.5))
    assert len({fine, worn, lost}) == 3
    assert heat(None, 1.0).bgcolor is None


def test_a_big_matrix_draws_only_what_is_seen() -> None:
    count = 300
    matrix = Matrix.of(
        tuple(range(count)), tuple(f"V{i}" for i in range(count)), ((0.5,) * count,) * count
    )
    assert matrix.first == (0.5,) * count
