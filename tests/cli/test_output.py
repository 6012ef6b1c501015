"""Tables, progress, previews and file names."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lfsd import events
from lfsd_cli import graphics, preview
from lfsd_cli.forgetting import print_quick_check, print_report
from lfsd_cli.main import main
from lfsd_cli.output import Mode, Output, plain_table
from lfsd_cli.pictures import grid, grid_path, plan_paths, slug
from lfsd_cli.progress import Narrator
from store.errors import UsageError
from store.store import Store
from tests.cli.conftest import BASE, commit

REPORT: dict[str, Any] = {
    "fidelity": {"V1": 0.7, "V2": 0.9},
    "text_alignment": {"V1": 0.31, "V2": 0.29},
    "scene_accuracy": {"V1": 0.5, "V2": 1.0},
    "pcf": {"V1": {"change": -0.2, "similarity": 0.8}},
    "rcf": {"cat": {"drift": 0.0123, "toward": 0.1, "away": 0.2}, "dog": {"drift": 0.001}},
    "confusion": {"V1": {"V1": 0.75, "V2": 0.25}, "V2": {"V1": 0.0, "V2": 1.0}},
    "matrix": {
        "concepts": ["V1", "V2"],
        "sessions": [1, 2],
        "fidelity": [[0.9, None], [0.7, 0.9]],
    },
}
STEP = events.Step(
    step=50, total=100, loss=0.5, loss_dm=0.4, loss_kd=0.1, seconds_left=30.0, rate=2.0
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_report_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(Output(), REPORT)
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["1", "0.900"] in lines and ["2", "0.700", "0.900"] in lines
    assert ["V1", "0.700", "-0.200", "0.310", "50%", "V2", "25%"] in lines
    assert ["cat", "0.0123", "+0.100", "0.200"] in lines


def test_a_lost_concept_is_red_and_a_kept_one_green(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_report(Output(), REPORT)
    assert "\x1b[31m0.700" in terminal.getvalue()
    assert "\x1b[32m0.900" in terminal.getvalue()
    terminal.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    print_report(Output(), REPORT)
    assert "\x1b[31m" not in terminal.getvalue()


def test_the_quick_check_is_silent_without_figures(capsys: pytest.CaptureFixture[str]) -> None:
    print_quick_check(Output(), {"loss": 0.1})
    assert capsys.readouterr().out == ""


def test_json_mode_keeps_stderr_free_for_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(Mode.JSON)
    out.note("hello")
    out.warn("careful")
    with Narrator(out) as narrator:
        narrator(events.Stage("learning"))
        narrator(STEP)
    assert capsys.readouterr().err == ""


def test_log_json_writes_one_object_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    with Narrator(Output(log_json=True)) as narrator:
        narrator(events.Stage("learning"))
        narrator(STEP)
        narrator(events.PhotoRefused("a\x1b.jpg", "broken"))
        narrator(events.ContactSheet(Path("x.png")))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["stage", "step", "photo_refused", "contact_sheet"]
    assert lines[1]["loss_kd"] == 0.1 and lines[1]["seconds_left"] == 30.0
    assert lines[3]["path"] == "x.png"


def test_a_log_file_gets_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with Narrator(Output()) as narrator:
        narrator(events.Stage("learning"))
        for step in range(1, 101):
            narrator(events.Step(step, 100, 0.5, 0.4, 0.1, 30.0, 2.0))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "learning ..."
    assert 10 <= len(lines) <= 13
    assert "2.0 it/s" in lines[1] and "30 s left" in lines[1] and "loss 0.500" in lines[1]


def test_the_live_line_shows_step_loss_rate_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    with Narrator(Output()) as narrator:
        narrator(events.Stage("learning"))
        narrator(STEP)
        narrator(events.Notice("batch made smaller\x1b[2J"))
    shown = terminal.getvalue()
    for word in ("50/100", "loss 0.500", "2.0 it/s", "30 s left", "batch made smaller\\x1b[2J"):
        assert word in shown


def test_every_event_of_the_core_has_words_or_is_verbose_only() -> None:
    named = {"Stage", "PhotoRefused", "PhotoWarning", "ContactSheet", "Step", "Preview",
             "Checkpoint", "Notice", "Sampling", "Measured"}  # fmt: skip
    assert {cls.__name__ for cls in events.Event.__subclasses__()} == named


def test_half_cells_are_the_pictures_colours() -> None:
    picture = Image.new("RGB", (8, 8), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 4, 8, 8))
    segments = graphics.half_cells(picture, 1)
    assert [segment.text for segment in segments] == ["▀", "\n"]
    style = segments[0].style
    assert style is not None and style.color is not None and style.bgcolor is not None
    above, below = style.color.triplet, style.bgcolor.triplet
    assert above is not None and below is not None
    assert above.red > 200 > below.red and below.blue > 200 > above.blue


def coloured(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal of 40 x 24 with colours in the place of stderr."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "40", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


def test_a_preview_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (16, 16))
    plain = io.StringIO()
    monkeypatch.setattr("sys.stderr", plain)
    preview.show(Output(), picture)
    assert plain.getvalue() == ""
    terminal = coloured(monkeypatch)
    preview.show(Output(Mode.QUIET), picture)
    assert terminal.getvalue() == ""
    preview.show(Output(), picture)
    assert terminal.getvalue().count("▀") >= 40


def test_show_draws_the_photo_kept_or_the_last_preview(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat", colour="teal")
        commit(store, "V2", "dog")
    terminal = coloured(monkeypatch)
    assert main(["show", "V1"]) == 0 and "▀" in terminal.getvalue()
    terminal = coloured(monkeypatch)
    assert main(["show", "V2"]) == 0 and "▀" not in terminal.getvalue()
    with Store.open(home) as store:
        cat, dog = store.concept("V1"), store.concept("V2")
    drawn = home / "work" / f"concept-{dog.id}.png"
    drawn.parent.mkdir(exist_ok=True)
    Image.new("RGB", (16, 16)).save(drawn)
    terminal = coloured(monkeypatch)
    assert main(["show", "V2"]) == 0 and "▀" in terminal.getvalue()
    drawn.write_bytes(b"torn")
    terminal = coloured(monkeypatch)
    assert main(["show", "V2"]) == 0 and "▀" not in terminal.getvalue()
    blob = home / "blobs" / cat.contexts[0].latents[:2] / cat.contexts[0].latents
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    terminal = coloured(monkeypatch)
    assert main(["show", "V1"]) == 0, "an ornament does not fail the command"
    assert "cannot be shown" in terminal.getvalue() and "▀" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("how", "mark"), [("kitty", "\U0010eeee"), ("sixel", "\x1bP"), ("off", "")]
)
def test_a_preview_is_what_the_user_asks_for(
    monkeypatch: pytest.MonkeyPatch, how: str, mark: str
) -> None:
    terminal = coloured(monkeypatch)
    monkeypatch.setenv("LFSD_PREVIEW", how)
    preview.show(Output(), Image.new("RGB", (16, 16), "teal"))
    assert "▀" not in terminal.getvalue()
    assert mark in terminal.getvalue() and (mark != "" or terminal.getvalue() == "")


def test_a_kind_of_preview_that_is_none_is_said_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LFSD_PREVIEW", "ascii")
    with pytest.raises(UsageError, match="LFSD_PREVIEW=ascii"):
        graphics.kind()
    terminal = coloured(monkeypatch)
    preview.show(Output(), Image.new("RGB", (16, 16)))
    assert "auto, kitty, sixel, half, off" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_who_is_no_terminal_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setitem(sys.modules, "textual_image.renderable", None)  # importing it would ask
    graphics._asked.cache_clear()
    assert graphics.kind() == "half"
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    graphics._asked.cache_clear()
    with pytest.raises(ImportError):
        graphics.kind()


def test_a_past_that_is_not_known_is_not_called_new(capsys: pytest.CaptureFixture[str]) -> None:
    print_quick_check(Output(), {"fidelity": {"V1": 0.6, "V2": 0.7}, "rcf": {}})
    lines = capsys.readouterr().out.splitlines()
    assert any("V1" in line and "not known" in line for line in lines)
    assert any("V2" in line and "just learned" in line for line in lines)


# ---- file names -------------------------------------------------------------------------------
def test_slug_is_a_plain_file_name() -> None:
    assert slug("a V1 cat, on a beach!") == "a-V1-cat-on-a-beach"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("猫") == "picture"
    assert len(slug("x " * 200)) <= 60


def test_paths_never_overwrite(tmp_path: Path) -> None:
    first = plan_paths(tmp_path, "a cat", [7, 8])
    assert [p.name for p in first] == ["a-cat-7.png", "a-cat-8.png"]
    first[0].touch()
    assert [p.name for p in plan_paths(tmp_path, "a cat", [7, 8])] == [
        "a-cat-7-2.png",
        "a-cat-8.png",
    ]


def test_a_named_png_is_used_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "mine.png"
    target.touch()
    assert plan_paths(target, "a cat", [7]) == [target]
    assert [p.name for p in plan_paths(target, "a cat", [7, 8])] == ["mine-7.png", "mine-8.png"]


def test_grid(tmp_path: Path) -> None:
    sheet = grid([Image.new("RGB", (10, 10), (i * 40, 0, 0)) for i in range(5)])
    assert sheet.size == (3 * 14 + 4, 2 * 14 + 4)
    assert grid_path([tmp_path / "a-cat-7.png"]).name == "a-cat-grid.png"


def test_a_long_or_piped_table_is_laid_out_as_rich_does() -> None:
    from rich.console import Console
    from rich.table import Table

    columns = ["token", "class", "size"]
    rows = [["V1", "cat", "12 kB"], ["日本語", "teddy bear", "3"], ["", "é", "1000 kB"]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, justify="right" if name == "size" else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(table)
    rich = [line.rstrip() for line in captured.get().splitlines()]
    assert plain_table(columns, rows, ["size"]).splitlines() == rich
    assert plain_table(["", ""], [["a", "b"]]) == "a  b\n"
    assert plain_table(["token"], []) == "token\n"
