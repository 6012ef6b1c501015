"""Learn: the form's checks, the contact sheet, the curve, stopping and going on."""

import json
from pathlib import Path

from PIL import Image
from textual.widgets import Button, Checkbox, Input

from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.curve import LossCurve, braille, smoothed, thin
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.lesson import Lesson
from lfsd_cli.tui.picture import PictureView
from lfsd_cli.tui.screens.learn import FolderTree, LearnRoom
from tests.cli.tui.support import finish, hear, in_room, pretend, shown, until


def write(app: LfsdApp, **fields: str) -> None:
    for name, value in fields.items():
        app.screen.query_one(f"#{name}", Input).value = value


def disabled(app: LfsdApp, name: str) -> bool:
    return app.screen.query_one(f"#{name}", Button).disabled


async def test_the_form_is_checked_as_you_type(learned: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: in_room(app, "learn"))
        await until(pilot, lambda: "choose a folder" in shown(app, "#verdict"))
        write(app, photos=str(tmp_path / "nowhere"), token="V3")
        await until(pilot, lambda: "no such folder" in shown(app, "#verdict"))
        write(app, photos=str(tmp_path / "photos"), token="3V")
        await until(pilot, lambda: "cannot be a token" in shown(app, "#verdict"))
        write(app, token="v1")
        await until(pilot, lambda: "the token V1 is taken" in shown(app, "#verdict"))
        assert disabled(app, "learn") and disabled(app, "check")
        write(app, token="V3")
        await until(pilot, lambda: shown(app, "#verdict").startswith("a class"))
        write(app, **{"class": "dog", "steps": "-3"})
        await until(pilot, lambda: shown(app, "#verdict").startswith("steps"))
        write(app, steps="20")
        await until(pilot, lambda: shown(app, "#verdict") == '"a V3 dog"')
        assert not disabled(app, "learn")
        pretend(app, Job("drawing", ["gen"]))  # what is asked for now stays in the queue
        await pilot.press("ctrl+l")
        await until(pilot, lambda: len(app.jobs.waiting) == 1)
        assert app.jobs.waiting[0].about == Lesson(tmp_path / "photos", "V3", "dog", 20)
        assert disabled(app, "learn"), "one session at a time"


async def test_folders_are_picked_in_the_tree(home: Path, tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.txt").write_text("")
    app = LfsdApp(home, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: in_room(app, "learn"))
        tree = app.screen.query_one("#tree", FolderTree)
        await until(pilot, lambda: [str(n.label) for n in tree.root.children] == ["cats"])
        await pilot.press("down", "enter")
        photos = app.screen.query_one("#photos", Input)
        await until(pilot, lambda: photos.value == str(tmp_path / "cats"))
        await pilot.press("backspace")
        await until(pilot, lambda: Path(tree.path) == tmp_path.parent)


async def test_a_small_photo_is_kept_when_ticked(learned: Path, tmp_path: Path) -> None:
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: in_room(app, "learn"))
        write(app, photos=str(tmp_path), token="V3", **{"class": "dog"})
        await until(pilot, lambda: not disabled(app, "learn"))
        room = app.screen
        assert isinstance(room, LearnRoom)
        lesson = room.lesson()
        assert lesson is not None and "--thumbnail" not in lesson.words()
        app.screen.query_one("#thumbnail").focus()
        await pilot.press("space")
        lesson = room.lesson()
        assert lesson is not None and "--thumbnail" in lesson.words()
        await pilot.press("ctrl+l")
        await until(pilot, lambda: bool(app.jobs.all))
        job = app.jobs.all[0]
        job.document, job.state = {"session": {"number": 3}}, State.DONE
        app.job_signal.publish(job)
        await until(pilot, lambda: not app.screen.query_one("#thumbnail", Checkbox).value)


async def test_a_session_is_watched_stopped_and_resumed(learned: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    preview = tmp_path / "preview.png"
    Image.new("RGB", (16, 16), "orange").save(preview)
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(140, 45)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: in_room(app, "learn"))
        write(app, photos=str(tmp_path / "photos"), token="V3", **{"class": "dog"})
        await until(pilot, lambda: not disabled(app, "learn"))
        before = pretend(app, Job("drawing", ["gen"]))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: len(app.jobs.waiting) == 1)
        running = app.jobs.waiting[0]
        running.state = State.RUNNING
        before.state = State.DONE
        hear(app, running, event="stage", name="learning")
        for step, loss in enumerate((1.0, 0.7, 0.5), 1):
            hear(app, running, event="step", step=step, total=200, loss_dm=loss, loss_kd=0.1,
                 seconds_left=70)  # fmt: skip
        hear(app, running, event="preview", path=str(preview), step=3)
        await until(pilot, lambda: "learning 3/200" in shown(app, "#status"))
        assert "1 min 10 s left" in shown(app, "#status")
        assert app.screen.query_one(LossCurve).losses == [(1.0, 0.1), (0.7, 0.1), (0.5, 0.1)]
        first = app.screen.query_one("#preview-0", PictureView)
        await until(pilot, lambda: "▀" in first.render_line(0).text)
        blocker = pretend(app, Job("drawing", ["gen"]))
        error = {"message": "stopped after step 3 of 200", "hint": "go on with: lfsd learn"}
        finish(app, running, 130, b"", error=error)
        await until(pilot, lambda: "stopped after step 3" in shown(app, "#status"))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: bool(app.jobs.waiting))
        again = app.jobs.waiting[0]
        assert isinstance(again.about, Lesson) and again.about.resume
        assert "--resume" in again.words and len(again.losses) == 3
        await pilot.press("ctrl+s")
        await until(pilot, lambda: again.state is State.STOPPED)
        blocker.state = State.DONE


async def test_the_contact_sheet_and_the_refused(learned: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    Image.new("RGB", (40, 30), "teal").save(sheet)
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(140, 45)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: in_room(app, "learn"))
        looking = pretend(app, Lesson(tmp_path, "V3", "dog").check(tmp_path))
        document = {
            "photos_used": [{"file": "a.jpg"}], "warnings": ["b.jpg is enlarged"],
            "photos_refused": [{"file": "c\x1b.txt", "reason": "not a picture file"}],
            "contact_sheet": str(sheet),
        }  # fmt: skip
        finish(app, looking, 0, json.dumps(document).encode())
        await until(pilot, lambda: "1 photos would be used, 1 refused" in shown(app, "#status"))
        assert "✗ c\\x1b.txt: not a picture file" in shown(app, "#notes-text")
        assert "b.jpg is enlarged" in shown(app, "#notes-text")
        view = app.screen.query_one("#sheet", PictureView)
        await until(pilot, lambda: "▀" in view.render_line(0).text)


def test_the_command_lines(tmp_path: Path) -> None:
    lesson = Lesson(tmp_path, "V3", "teddy bear", 20)
    words = lesson.job().words
    assert "--token=V3" in words and "--class=teddy bear" in words
    assert list(words[-2:]) == ["--", str(tmp_path)] and "--dry-run" not in words
    looking = lesson.check(tmp_path)
    assert looking.quick and looking.folder == tmp_path and "--dry-run" in looking.words


def test_the_curve() -> None:
    assert thin([1, 2, 3, 4], 2) == [1.5, 3.5] and thin([1.0], 5) == [1.0]
    assert smoothed([1.0, 0.0, 0.0], 0.5) == [1.0, 0.5, 0.25] and smoothed([]) == []
    rows = braille([0, 1, 2, 3], 2, 1, 0, 3)
    assert rows == ["⡠⠊"]
    assert len(braille([1, 1], 4, 3, 1, 1)) == 3
