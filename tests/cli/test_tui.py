"""The terminal app: what it shows, and how it takes the messages of a job."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static, TabbedContent

from lfsd_cli.tui import data, job
from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.picture import PictureView
from store.store import Store
from tests.cli.conftest import BASE, Run


def shown(app: LfsdApp, selector: str) -> str:
    return str(app.query_one(selector, Static).content)


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    """Wait for the screen to follow; a busy machine may take a while."""
    for _ in range(200):
        await pilot.pause()
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the screen did not follow within ten seconds")


async def test_concepts_and_sessions_are_listed(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        concepts = app.query_one("#concepts", DataTable)
        assert [str(concepts.get_row_at(i)[0]) for i in range(2)] == ["V1", "V2"]
        assert app.query_one("#sessions", DataTable).row_count == 3
        await until(pilot, lambda: shown(app, "#detail").startswith("V1: a cat"))
        await pilot.press("down")
        await until(pilot, lambda: shown(app, "#detail").startswith("V2: a teddy bear"))


async def test_enter_on_a_concept_begins_its_prompt(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("down", "enter")
        prompt = app.query_one("#prompt", Input)
        await until(pilot, lambda: prompt.value == "a photo of a V2 teddy bear")
        assert app.query_one(TabbedContent).active == "tab-generate"
        await until(pilot, lambda: prompt.has_focus)
        await pilot.press(*"!")
        await until(pilot, lambda: prompt.value == "a photo of a V2 teddy bear!")


async def test_it_draws_without_colours(learned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = LfsdApp(learned)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f3")
        picture = app.query_one(PictureView)
        await until(pilot, lambda: picture.size.height > 0)
        picture.set_picture(Image.new("RGB", (16, 16), "orange"))
        await until(pilot, lambda: "\u2580" in picture.render_line(0).text)


async def test_tabs_by_key(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: app.query_one(TabbedContent).active == "tab-sessions")
        await pilot.press("f3")
        await until(pilot, lambda: app.query_one("#prompt").has_focus)


async def test_an_empty_store_says_what_to_type(home: Path) -> None:
    Store.create(home, BASE).close()
    app = LfsdApp(home)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "lfsd learn" in shown(app, "#detail")


async def test_reload_sees_a_change(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        with Store.open(learned, write=True) as store:
            store.commit_rm("V1")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: app.query_one("#concepts", DataTable).row_count == 1)


async def test_a_finished_job_shows_its_picture(learned: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (16, 16), (200, 10, 10)).save(path)
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f3")
        picture = app.query_one(PictureView)
        picture.post_message(job.Progress(3, 30))
        picture.post_message(job.Finished({"images": [{"path": str(path), "seed": 7}]}))
        await until(pilot, lambda: "seed 7" in shown(app, "#status"))
        await until(pilot, lambda: picture.size.height > 0)
        assert "▀" in "".join(segment.text for segment in picture.render_line(0))


async def test_a_failing_job_is_shown_and_the_app_lives(home: Path, tmp_path: Path) -> None:
    """The real subprocess: a base of this hash exists nowhere, so `lfsd gen` must fail."""
    Store.create(home, BASE).close()
    app = LfsdApp(home, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f3")
        await until(pilot, lambda: app.query_one("#prompt").has_focus)
        await pilot.press(*"cat", "enter")
        await app.workers.wait_for_complete()
        await until(pilot, lambda: not shown(app, "#status").startswith("drawing"))
        assert "exit code" not in shown(app, "#status"), "the job's own message must be shown"
        assert app.is_running


def test_outcome_of_jobs() -> None:
    done = job._outcome(0, b'{"images": []}', {})
    assert isinstance(done, job.Finished) and done.document == {"images": []}
    failed = job._outcome(4, b"", {"error": {"message": "no V9", "hint": "see lfsd ls"}})
    assert isinstance(failed, job.Failed) and failed.text == "no V9\nsee lfsd ls"
    killed = job._outcome(-9, b"", {"event": "sampling"})
    assert isinstance(killed, job.Failed) and "-9" in killed.text


def test_the_snapshot_is_safe_to_draw(home: Path) -> None:
    from tests.cli.conftest import commit

    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat\x1b[31m")
    row = data.read(home).concepts[0]
    assert "\x1b" not in row.detail + "".join(row.cells)


def test_tui_needs_a_terminal(run: Run, learned: Path) -> None:
    ran = run("tui")
    assert ran.code == 2 and "terminal" in ran.err


@pytest.mark.parametrize("size", [(80, 24), (140, 45)])
async def test_it_draws_at_every_size(learned: Path, size: tuple[int, int]) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=size) as pilot:
        for key in ("f1", "f2", "f3"):
            await pilot.press(key)
        assert "<svg" in app.export_screenshot()
