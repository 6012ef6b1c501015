"""The frame: rooms, keys, help, news of jobs, leaving."""

import asyncio
import json
from pathlib import Path

import pytest
from textual.css.stylesheet import Stylesheet

from lfsd_cli.tui import job
from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.room import ROOMS, Tab, TopBar
from lfsd_cli.tui.screens.help import HelpScreen
from lfsd_cli.tui.screens.leaving import LeaveScreen
from store.store import Store
from tests.cli.conftest import BASE, Run
from tests.cli.tui.support import column, finish, hear, in_room, pretend, shown, until


async def test_rooms_by_key_and_by_mouse(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        for name, (key, _) in ROOMS.items():
            await pilot.press(key.lower())
            await until(pilot, lambda name=name: in_room(app, name))  # type: ignore[misc]
        await pilot.click(app.screen.query(Tab).first())
        await until(pilot, lambda: in_room(app, "concepts"))


@pytest.mark.parametrize("size", [(80, 24), (140, 45), (200, 60)])
async def test_every_room_draws_at_every_size(learned: Path, size: tuple[int, int]) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=size) as pilot:
        for name in ROOMS:
            app.action_room(name)
            await until(pilot, lambda name=name: in_room(app, name))  # type: ignore[misc]
            drawn = app.export_screenshot()
            assert "Concepts" in drawn and "<svg" in drawn
            assert app.screen.has_class("-wide") == (size[0] >= 110)


async def test_a_theme_reaches_rooms_entered_before_and_after(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(100, 30)) as pilot:
        app.action_room("sessions")
        await until(pilot, lambda: in_room(app, "sessions"))
        app.action_room("concepts")
        await until(pilot, lambda: in_room(app, "concepts"))
        app.theme = "textual-light"
        await pilot.pause()
        for name in ("concepts", "sessions", "generate"):
            app.action_room(name)
            await until(pilot, lambda name=name: in_room(app, name))  # type: ignore[misc]
            await pilot.pause()
            panel = app.get_css_variables()["panel"]
            assert app.screen.query_one(TopBar).styles.background.hex == panel
            assert "#121212" not in app.export_screenshot()  # the dark theme's ground


async def test_entering_a_room_parses_no_styles_again(
    learned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, parsed = LfsdApp(learned), []
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: column(app, "#concepts") == ["V1", "V2"])
        monkeypatch.setattr(Stylesheet, "reparse", parsed.append)
        for name in ROOMS:
            app.action_room(name)
            await until(pilot, lambda name=name: in_room(app, name))  # type: ignore[misc]
    assert not parsed


async def test_it_draws_without_colours(learned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = LfsdApp(learned)
    async with app.run_test(size=(100, 30)) as pilot:
        for name in ROOMS:
            app.action_room(name)
            await until(pilot, lambda name=name: in_room(app, name))  # type: ignore[misc]
            assert "<svg" in app.export_screenshot()


async def test_help_lists_the_keys_of_the_screen(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: column(app, "#concepts") == ["V1", "V2"])
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert isinstance(app.screen, HelpScreen)
        keys = {what: key for key, what in app.screen.rows}
        assert keys["Filter"] == "/" and keys["Sort"] == "s"
        assert keys["Sessions"].lower() == "f3" and "Quit" in keys
        await pilot.press("f3")
        assert isinstance(app.screen, HelpScreen), "a question is not walked away from"
        await pilot.press("escape")
        await until(pilot, lambda: in_room(app, "concepts"))


async def test_the_bar_tells_of_jobs(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        running = pretend(app, Job("learning V3", ["learn"]))
        hear(app, running, event="stage", name="learning")
        hear(app, running, event="step", step=5, total=20, loss_dm=1, loss_kd=0, seconds_left=9)
        await until(pilot, lambda: shown(app, "#going-on") == "● learning V3 25%")
        app.jobs.submit(Job("drawing", ["gen"]))
        await until(pilot, lambda: shown(app, "#going-on").endswith("(+1)"))
        finish(app, running, 1, b"", error={"message": "no memory\x1b", "hint": "close some"})
        await until(pilot, lambda: running.state is State.FAILED)
        assert running.error == "no memory\\x1b\nclose some"
        app.jobs.stop(app.jobs.all[1])
        assert app.jobs.all[1].state is State.STOPPED


async def test_leaving_asks_what_to_do_with_a_job(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        running = pretend(app, Job("learning V3", ["learn"]))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, LeaveScreen))
        assert "learning V3" in shown(app, "#question")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, LeaveScreen))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, LeaveScreen))
        await pilot.press("s")
        await until(pilot, lambda: "stopping" in shown(app, "#question"))
        assert app.is_running, "it waits for the checkpoint"
        finish(app, running, 130, b"", error={"message": "stopped after step 3", "hint": ""})
        await until(pilot, lambda: not app.is_running or app._exit)
    assert running.state is State.STOPPED


@pytest.mark.parametrize("left_alone", [True, False])
async def test_a_job_that_is_left_running_goes_on_and_another_ends(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_alone: bool
) -> None:
    """A program in the interpreter's place that talks on after nobody listens any more."""
    program, go, done = tmp_path / "program", tmp_path / "go", tmp_path / "done"
    talk = """echo '{"event": "stage", "name": "learning"}' >&2"""
    wait = f"while [ ! -e {go} ]; do sleep 0.1; done"
    program.write_text(f"#!/bin/sh\ntrap '' PIPE\n{talk}\n{wait}\n{talk}\necho x > {done}\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        running = app.jobs.submit(Job("learning V3", ["learn"]))
        waiting = app.jobs.submit(Job("drawing", ["gen"]))
        await until(pilot, lambda: running.stage == "learning")
        if left_alone:
            await pilot.press("ctrl+q")
            await until(pilot, lambda: isinstance(app.screen, LeaveScreen))
            await pilot.press("l")
            await until(pilot, lambda: running.left_alone)
            assert waiting.state is State.STOPPED
    go.touch()
    assert running.process is not None
    code = await asyncio.to_thread(running.process.wait)
    assert (code == 0, done.exists()) == (left_alone, left_alone)


async def test_without_a_store_it_says_what_to_do(home: Path) -> None:
    app = LfsdApp(home)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.screen.has_class("-empty"))
        assert "no store here yet" in shown(app, "#empty")
        Store.create(home, BASE).close()
        await pilot.press("ctrl+r")
        await until(pilot, lambda: shown(app, "#empty").startswith("Nothing learned yet"))


async def test_a_damaged_store_is_shown_not_raised(learned: Path) -> None:
    data = next((learned / "records").glob("data.mdb"))
    data.write_bytes(data.read_bytes()[:4096])
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cannot be read" in shown(app, "#empty"))
        for name in ROOMS:
            app.action_room(name)
            await until(pilot, lambda name=name: in_room(app, name))  # type: ignore[misc]


async def test_a_crashed_job_is_an_error_with_its_message(home: Path) -> None:
    """The real subprocess: one that fails with our own error, and its document when it works."""
    Store.create(home, BASE).close()
    app = LfsdApp(home)
    async with app.run_test(size=(80, 24)) as pilot:
        failed = app.jobs.submit(Job("undo", ["undo"], quick=True))
        worked = app.jobs.submit(Job("log", ["log"], quick=True))
        await until(pilot, lambda: failed.over and worked.over)
        assert failed.state is State.FAILED and "nothing to undo" in failed.error
        assert worked.state is State.DONE and worked.document["sessions"][0]["number"] == 0
        assert app.is_running


def test_how_jobs_end() -> None:
    done = Job("", ["gen"])
    done.end(0, b'{"images": []}', {})
    assert done.state is State.DONE and done.document == {"images": []}
    killed = Job("", ["gen"])
    killed.end(-9, b"", {"event": "sampling"})
    assert killed.state is State.FAILED and "-9" in killed.error
    noisy = Job("", ["gen"])
    noisy.end(1, b"", {"said": "Segmentation fault\x1b[2J"})
    assert "Segmentation fault\\x1b" in noisy.error
    stopped = Job("", ["learn"])
    stopped.end(130, b"", {"error": {"message": "stopped after step 3", "hint": "resume"}})
    assert stopped.state is State.STOPPED and stopped.error == "stopped after step 3\nresume"


def test_what_jobs_say() -> None:
    told = Job("", ["learn"])
    for line in (
        {"event": "stage", "name": "learning"},
        {"event": "step", "step": 1, "total": 4, "loss_dm": 0.5, "loss_kd": 0.1, "seconds_left": 3},
        {"event": "preview", "path": "/x/p.png", "step": 1},
        {"event": "contact_sheet", "path": "/x/c.png"},
        {"event": "photo_refused", "file": "a.txt", "reason": "not a picture file"},
        {"event": "notice", "text": "out of memory"},
    ):
        told.hear(json.loads(json.dumps(line)))
    assert (told.stage, told.step, told.total) == ("learning", 1, 4)
    assert told.losses == [(0.5, 0.1)] and told.previews == [Path("/x/p.png")]
    assert told.contact_sheet == Path("/x/c.png")
    assert told.notes == ["a.txt: not a picture file", "out of memory"]


async def test_jobs_that_need_the_model_wait_for_each_other(
    learned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        first = app.jobs.submit(Job("one", ["log"]))
        second = app.jobs.submit(Job("two", ["log"]))
        assert first.state is State.RUNNING and second.state is State.QUEUED
        await until(pilot, lambda: second.over)
        assert first.state is second.state is State.DONE


def test_tui_needs_a_terminal(run: Run, learned: Path) -> None:
    ran = run("tui")
    assert ran.code == 2 and "terminal" in ran.err


def test_the_stream_of_a_job_is_that_of_the_command_line() -> None:
    assert job.STAGES["learning"] == "learning" and job.ROOT.joinpath("lfsd_cli").is_dir()
