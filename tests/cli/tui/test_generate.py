"""Generate: the prompt's help, what is asked for, comparisons, the gallery."""

import json
from dataclasses import replace
from pathlib import Path

from PIL import Image
from textual.widgets import DataTable, Input, Switch

from lfsd.png import read_png, save_png
from lfsd_cli.tui import data
from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.drawing import Drawing
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.prompt import KNOWN, UNSURE, TokenHighlighter, TokenSuggester
from lfsd_cli.tui.screens.confirm import AskScreen
from lfsd_cli.tui.screens.generate import GenerateRoom
from store.store import Store
from tests.cli.conftest import BASE
from tests.cli.tui.support import column, finish, hear, in_room, picture, pretend, shown, until


def room(app: LfsdApp) -> GenerateRoom:
    assert isinstance(app.screen, GenerateRoom)
    return app.screen


async def test_from_a_concept_to_its_prompt_and_on(learned: Path, tmp_path: Path) -> None:
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: column(app, "#concepts") == ["V1", "V2"])
        pretend(app, Job("learning", ["learn"]))  # so that what is asked for stays in the queue
        await pilot.press("down", "g")
        await until(pilot, lambda: in_room(app, "generate"))
        prompt = app.screen.query_one("#prompt", Input)
        await until(
            pilot, lambda: prompt.value == "a photo of a V2 teddy bear" and prompt.has_focus
        )
        await pilot.press(*" on a V", "right")
        await until(pilot, lambda: prompt.value == "a photo of a V2 teddy bear on a V1 cat")
        await pilot.press("enter")
        await until(pilot, lambda: len(app.jobs.waiting) == 1)
        app.screen.query_one("#seed", Input).value = "7"
        app.screen.query_one("#as-of", Input).value = "1"
        app.screen.query_one("#context", Switch).value = False
        await pilot.press("enter")
        await until(pilot, lambda: len(app.jobs.waiting) == 2)
        asked = app.jobs.waiting[1].about
        assert isinstance(asked, Drawing)
        assert (asked.seed, asked.as_of, asked.context) == (7, "1", False)
        app.screen.query_one("#steps", Input).value = "x"
        await pilot.press("enter")
        await until(pilot, lambda: "steps: 'x'" in shown(app, "#status"))
        assert len(app.jobs.waiting) == 2


async def test_pictures_come_back_and_are_compared(learned: Path, tmp_path: Path) -> None:
    old = picture(tmp_path, "a V1 cat", 3, learned, ["V1"])
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(140, 45)) as pilot:
        app.draw("a V1 cat")
        await until(pilot, lambda: in_room(app, "generate") and column(app, "#gallery") != [])
        running = pretend(app, Drawing("a V1 cat", seed=5).job(tmp_path))
        hear(app, running, event="stage", name="sampling")
        hear(app, running, event="sampling", step=3, total=30)
        await until(pilot, lambda: "drawing 3/30" in shown(app, "#status"))
        new = picture(tmp_path, "a V1 cat", 5, learned, ["V1"])
        document = {"images": [{"path": str(new), "seed": 5, "concepts": ["V1"]}]}
        finish(app, running, 0, json.dumps(document).encode())
        await until(pilot, lambda: room(app).shown == [new])
        assert shown(app, "#caption-0") == "seed 5 · session 2"
        assert column(app, "#gallery", 0) == ["5", "3"]

        pretend(app, Job("learning", ["learn"]))
        await pilot.press("escape", "down")
        await until(pilot, lambda: room(app).shown == [old])
        await pilot.press("c", "a", "o")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await pilot.press("1", "enter")
        await until(pilot, lambda: len(app.jobs.waiting) == 3)
        without, again, before = (job.about for job in app.jobs.waiting)
        assert isinstance(without, Drawing) and isinstance(again, Drawing)
        assert isinstance(before, Drawing)
        assert (without.context, without.seed, without.steps) == (False, 3, 12)
        assert again.seed != 3 and again.prompt == "a V1 cat"
        for same in again, before:
            assert (same.guidance, same.guidance_fraction, same.negative) == (4.0, 0.6, "blur")
            assert (same.context_strength, same.context_blend) == (0.8, 0.3)
        assert (before.as_of, before.seed, before.context) == ("1", 3, True)

        other = picture(tmp_path, "a V1 cat", 9, learned, ["V1"])
        job = app.jobs.waiting[0]
        job.state = State.RUNNING
        finish(app, job, 0, json.dumps({"images": [{"path": str(other), "seed": 9}]}).encode())
        await until(pilot, lambda: room(app).shown == [old, other])


def test_a_picture_in_which_no_context_took_part_says_nothing_of_contexts(
    learned: Path, tmp_path: Path
) -> None:
    without = [{"icgen": "off", "contexts": {}}, {"contexts": {}, "context_blend": 0.0}]
    for seed, made in enumerate(without):
        found = data.shot(picture(tmp_path, "a V1 cat", seed, learned, ["V1"], **made))
        assert (found.context_strength, found.context_blend) == (None, None)
        again = Drawing("").like(found)
        assert "--context-" not in " ".join(replace(again, context=True).words(tmp_path))


def test_a_picture_of_an_early_version_is_drawn_again_as_it_was(
    learned: Path, tmp_path: Path
) -> None:
    path = picture(tmp_path, "a V1 cat", 3, learned, ["V1"])
    made = read_png(path)
    early = {k: v for k, v in made.items() if k not in ("guidance_fraction", "context_blend")}
    with Image.open(path) as image:
        found = data.shot(save_png(image.copy(), early, tmp_path / "early.png"))
    assert (found.guidance_fraction, found.context_blend) == (1.0, 0.0)


async def test_a_picture_is_seen_while_it_takes_shape(learned: Path, tmp_path: Path) -> None:
    old = picture(tmp_path, "a V1 cat", 3, learned, ["V1"])
    live = tmp_path / "live" / "live.png"
    live.parent.mkdir()
    Image.new("RGB", (16, 16), (0, 200, 0)).save(live)
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(140, 45)) as pilot:
        app.draw("a V1 cat")
        await until(pilot, lambda: in_room(app, "generate") and column(app, "#gallery") != [])
        drawing = pretend(app, Drawing("a V1 cat", seed=5).job(tmp_path, live))
        hear(app, drawing, event="preview", path=str(live), step=3)
        await until(pilot, lambda: room(app).shown == [live])
        assert shown(app, "#caption-0") == "taking shape"

        await pilot.press("escape")
        await until(pilot, lambda: app.screen.query_one("#gallery").has_focus)
        app.screen.query_one("#gallery", DataTable).action_select_cursor()
        room(app)._show([room(app).current])  # type: ignore[list-item]
        hear(app, drawing, event="preview", path=str(live), step=6)
        await pilot.pause()
        assert room(app).shown == [old], "who looks at another picture is left in peace"

        await pilot.press("/")
        hear(app, drawing, event="preview", path=str(live), step=9)
        await until(pilot, lambda: room(app).shown == [live])
        finish(app, drawing, 8, b"", error={"message": "no memory", "hint": ""})
        await until(pilot, lambda: room(app).shown == [] and shown(app, "#status") == "no memory")


async def test_a_failing_job_is_shown_and_the_app_lives(home: Path, tmp_path: Path) -> None:
    """The real subprocess: a base of this hash exists nowhere, so `lfsd gen` must fail."""
    Store.create(home, BASE).close()
    app = LfsdApp(home, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.draw("cat")
        await until(pilot, lambda: in_room(app, "generate"))
        await until(pilot, lambda: app.screen.query_one("#prompt").has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.jobs.all) and app.jobs.all[0].over)
        assert app.jobs.all[0].state is State.FAILED
        assert "exit code" not in app.jobs.all[0].error, "the job's own message must be shown"
        await until(pilot, lambda: shown(app, "#status") == app.jobs.all[0].error)
        assert app.is_running


async def test_completion(learned: Path) -> None:
    concepts = data.read(learned).concepts
    suggest = TokenSuggester(lambda: concepts).get_suggestion
    assert await suggest("a photo of a v2") == "a photo of a V2 teddy bear"
    assert await suggest("a V1 ") == "a V1 cat"
    assert await suggest("a dog") is None and await suggest("") is None


def test_colouring(learned: Path) -> None:
    concepts = data.read(learned).concepts
    text = TokenHighlighter(lambda: concepts)("a V1 cat, v2, V12 and V1")
    styles = [(str(span.style), text.plain[span.start : span.end]) for span in text.spans]
    assert sorted(styles) == sorted([(KNOWN, "V1"), (KNOWN, "V1"), (UNSURE, "v2"), (UNSURE, "V12")])


def test_the_command_line_of_a_drawing(tmp_path: Path) -> None:
    drawing = Drawing("-x V1", n=2, seed=7, negative="blur", context=False, as_of="1")
    words = drawing.words(tmp_path)
    assert words[0] == "gen" and words[-2:] == ["--", "-x V1"]
    text = " ".join(words)
    assert "--live" not in text and "--live x.png" in " ".join(
        Drawing("V1").words(tmp_path, Path("x.png"))
    )
    assert "-n 2" in text and "--seed 7" in text and "--as-of 1" in text
    assert "--negative blur" in text and "--no-context" in text and "--guidance" not in text
    late = replace(drawing, guidance_fraction=0.0, context_strength=0.5, context_blend=0.25)
    text = " ".join(late.words(tmp_path))
    assert "--guidance-fraction 0.0" in text and "--context-strength 0.5" in text
    assert "--context-blend 0.25" in text
