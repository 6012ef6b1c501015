"""Concepts, one concept, sessions: what they show and what they ask for."""

from pathlib import Path

import pytest
from textual.widgets import Input

from lfsd_cli.portrait import Portrait
from lfsd_cli.trends import bars, kept_style, trends
from lfsd_cli.tui import data
from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.job import State
from lfsd_cli.tui.picture import PictureView
from lfsd_cli.tui.screens.concept import ConceptScreen, free_folder
from lfsd_cli.tui.screens.confirm import AskScreen, ConfirmScreen
from store.store import Store
from tests.cli.conftest import BASE, commit
from tests.cli.tui.support import column, in_room, picture, shown, until


async def test_filter_sort_and_the_card(learned: Path, tmp_path: Path) -> None:
    picture(tmp_path, "a photo of a V2 teddy bear", 1, learned, ["V2"])
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: column(app, "#concepts") == ["V1", "V2"])
        assert column(app, "#concepts", 3) == ["0.750", "0.750"]
        await until(pilot, lambda: shown(app, "#facts").startswith("V1: a cat"))
        await pilot.press("down")
        await until(pilot, lambda: shown(app, "#facts").startswith("V2: a teddy bear"))
        thumb = app.screen.query_one("#thumb", PictureView)
        await until(pilot, lambda: "▀" in thumb.render_line(0).text)
        await pilot.press("slash", *"ca")
        await until(pilot, lambda: column(app, "#concepts") == ["V1"])
        await pilot.press("escape")
        await until(pilot, lambda: column(app, "#concepts") == ["V1", "V2"])
        await pilot.press("s", "s")  # by class: cat, teddy bear
        await until(pilot, lambda: "by class" in app.screen.query_one("#filter", Input).placeholder)


async def test_keys_go_to_the_list_as_soon_as_there_is_one(home: Path) -> None:
    Store.create(home, BASE).close()
    app = LfsdApp(home)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: shown(app, "#empty").startswith("Nothing learned yet"))
        assert "left behind" not in shown(app, "#empty")
        app.action_room("learn")
        await until(pilot, lambda: in_room(app, "learn"))
        with Store.open(home, write=True) as store:
            commit(store, "V1", "cat")
        app.action_reload()
        app.action_room("concepts")
        await until(pilot, lambda: column(app, "#concepts") == ["V1"])
        await until(pilot, lambda: app.screen.query_one("#concepts").has_focus)
        await pilot.press("g")
        await until(pilot, lambda: in_room(app, "generate"))


async def test_an_empty_list_tells_of_what_was_left_behind(home: Path) -> None:
    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat")
        store.goto("0")
    app = LfsdApp(home)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "F3  go back to a session" in shown(app, "#empty"))


@pytest.mark.parametrize("how", ["kitty", "sixel", "off"])
async def test_pictures_in_pixels_or_not_at_all(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("LFSD_PREVIEW", how)
    path = picture(tmp_path, "a photo of a V1 cat", 1, learned, ["V1"])
    app = LfsdApp(learned, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        thumb = app.screen.query_one("#thumb", PictureView)
        await until(pilot, lambda: thumb.source == Portrait(learned, "V1", path))
        exact = thumb.query("Image")
        assert len(exact) == (0 if how == "off" else 1)
        if how != "off":
            await until(pilot, lambda: exact.first().image is not None)  # type: ignore[attr-defined]
            app.action_room("report")
            await until(pilot, lambda: in_room(app, "report"))
            app.action_room("concepts")
            await pilot.press("down")
            await until(pilot, lambda: exact.first().image is None)  # type: ignore[attr-defined]
        assert not thumb.render_line(0).text.strip()


async def test_reload_sees_a_change(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(column(app, "#concepts")) == 2)
        with Store.open(learned, write=True) as store:
            store.commit_rm("V1")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: column(app, "#concepts") == ["V2"])


async def test_a_concept_shows_the_photo_kept_of_it(home: Path) -> None:
    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat", colour="#ff8800")
        commit(store, "V2", "dog")
    app = LfsdApp(home, home / "none")
    async with app.run_test(size=(140, 45)) as pilot:
        view = app.screen.query_one("#thumb", PictureView)
        await until(pilot, lambda: "▀" in view.render_line(0).text)
        cell = next(segment for segment in view.render_line(0) if "▀" in segment.text)
        assert cell.style is not None and cell.style.color is not None
        assert cell.style.color.get_truecolor().hex == "#ff8800"
        await pilot.press("down")
        await until(pilot, lambda: "▀" not in view.render_line(0).text)


async def test_two_hundred_concepts(home: Path) -> None:
    with Store.create(home, BASE) as store:
        for number in range(200):
            commit(store, f"V{number}", "cat" if number % 2 else "dog")
    app = LfsdApp(home)
    async with app.run_test(size=(140, 45)) as pilot:
        await until(pilot, lambda: len(column(app, "#concepts")) == 200)
        await pilot.press("slash", *"dog V19")
        await until(pilot, lambda: column(app, "#concepts")[0] == "V190")
        assert len(column(app, "#concepts")) == 5


async def test_a_concept_is_opened_and_removed_after_a_question(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(column(app, "#concepts")) == 2)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConceptScreen))
        await until(pilot, lambda: "broken.jpg: truncated" in shown(app, "#facts"))
        assert "0.750  fidelity to the photos" in shown(app, "#facts")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ConceptScreen))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "undo brings it back" in shown(app, "#question")
        await pilot.press("enter")  # the cursor is on Cancel
        await until(pilot, lambda: isinstance(app.screen, ConceptScreen))
        assert not app.jobs.all
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: bool(app.jobs.all) and app.jobs.all[0].over)
        assert app.jobs.all[0].state is State.DONE, app.jobs.all[0].error
        await until(pilot, lambda: app.screen.id != "concept" and in_room(app, "concepts"))
        await until(pilot, lambda: column(app, "#concepts") == ["V1"])


async def test_export_asks_for_a_folder(learned: Path, tmp_path: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(column(app, "#concepts")) == 2)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConceptScreen))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        assert app.screen.query_one("#answer", Input).value == str(Path("lfsd-V1").absolute())
        app.screen.query_one("#answer", Input).value = str(tmp_path / "-out")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.jobs.all) and app.jobs.all[0].over)
        assert app.jobs.all[0].state is State.DONE, app.jobs.all[0].error
    assert (tmp_path / "-out/embeddings/V1.safetensors").is_file()


def test_a_free_folder_to_export_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lfsd-V1").mkdir()
    assert free_folder("V1") == tmp_path / "lfsd-V1-2"
    assert free_folder("V2") == tmp_path / "lfsd-V2"


async def test_undo_says_what_it_changes(learned: Path) -> None:
    app = LfsdApp(learned)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f3")
        await until(pilot, lambda: in_room(app, "sessions"))
        await until(pilot, lambda: column(app, "#sessions", 1) == ["2", "1", "0"])
        assert column(app, "#sessions") == ["●", "│", "│"]
        await until(pilot, lambda: "V2       0.750  just learned" in shown(app, "#about"))
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "No longer known: V2 (teddy bear)" in shown(app, "#question")
        await pilot.press("y")
        await until(pilot, lambda: bool(app.jobs.all) and app.jobs.all[0].over)
        assert app.jobs.all[0].state is State.DONE, app.jobs.all[0].error
        await until(pilot, lambda: column(app, "#sessions") == ["┆", "●", "│"])


def test_what_going_somewhere_changes(learned: Path) -> None:
    with Store.open(learned, write=True) as store:
        head = store.head.id
        store.commit_rename("V1", "Max")
    back = data.change(learned, head)
    assert back.lost == ("Max (cat)",) and back.gained == ("V1 (cat)",)
    assert data.change(learned, "HEAD").lost == ()


def test_trends_follow_renames_and_removals(home: Path) -> None:
    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat")
        first = store.concept("V1").id
        store.commit_rename("V1", "Max")
        second = commit(store, "V1", "dog")
        store.update_metrics(second, {"fidelity": {"Max": 0.5, "V1": 0.8}})
        found = trends(store.sessions())
        assert found.of(first) == (0.75, 0.5)
        assert found.of(store.concept("V1").id) == (0.8,)
        assert found.sessions == (1, 3) and found.cell(first, 3) == 0.5
        store.commit_rm("V1")
        commit(store, "V1", "tiger", seed=5)
        assert trends(store.sessions()).of(store.concept("V1").id) == (0.75,)


def test_bars_and_colours() -> None:
    assert bars((0.0, 0.5, 1.0, -3.0)) == "▁▅█▁"
    colours = [kept_style(now, 1.0) for now in (0.99, 0.9, 0.5, None)]
    assert colours == ["green", "yellow", "red", ""]


def test_the_snapshot_is_safe_to_draw(home: Path) -> None:
    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat\x1b[31m")
    snapshot = data.read(home)
    assert "\x1b" not in snapshot.concepts[0].class_noun + snapshot.sessions[0].change


def test_thumbnails_are_of_this_store(learned: Path, tmp_path: Path) -> None:
    mine = picture(tmp_path / "a", "V1 cat", 1, learned, ["V1"])
    (tmp_path / "a" / "other.png").write_bytes(b"no picture")
    (learned / "work").mkdir(exist_ok=True)
    with Store.open(learned) as store:
        preview = learned / "work" / f"concept-{store.concept('V2').id}.png"
    preview.write_bytes(mine.read_bytes())
    found = data.shots(tmp_path / "a")
    assert [shot.path for shot in found] == [mine]
    thumbs = data.drawn(data.read(learned), found, learned)
    assert thumbs == {"V1": mine, "V2": preview}
    assert data.drawn(data.Snapshot(), found, learned) == {}
