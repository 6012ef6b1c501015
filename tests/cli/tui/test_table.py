"""A long table comes in parts, and the cursor is spoken of as where it will be."""

from rich.text import Text
from textual.app import App, ComposeResult

from lfsd_cli.tui.table import PART, LongTable
from tests.cli.tui.support import until


class Shown(App[None]):
    def compose(self) -> ComposeResult:
        yield LongTable(id="long")

    def on_mount(self) -> None:
        self.table.add_column("n", width=6)

    @property
    def table(self) -> LongTable:
        return self.query_one("#long", LongTable)


def rows(count: int, name: str = "row") -> list[tuple[str, list[Text]]]:
    return [(f"{name}{n}", [Text(f"{name}{n}")]) for n in range(count)]


async def test_all_rows_come_in_order_and_in_parts() -> None:
    app, count = Shown(), 4 * PART + 7
    async with app.run_test() as pilot:
        app.table.fill(rows(count))
        assert app.table.row_count == PART
        await until(pilot, lambda: app.table.row_count == count)
        assert [str(app.table.get_row_at(n)[0]) for n in (0, PART, count - 1)] == [
            "row0", f"row{PART}", f"row{count - 1}",
        ]  # fmt: skip


async def test_the_cursor_is_spoken_of_as_where_it_will_be() -> None:
    app, wanted = Shown(), 3 * PART + 3
    async with app.run_test() as pilot:
        for name in ("a", "b"):  # the second begins before the first has come
            app.table.fill(rows(4 * PART, name), wanted)
            assert app.table.chosen == wanted and app.table.cursor_row == 0
        await until(pilot, lambda: app.table.row_count == 4 * PART)
        assert app.table.cursor_row == app.table.chosen == wanted
        assert str(app.table.get_row_at(wanted)[0]) == f"b{wanted}"
        await pilot.press("up")
        await until(pilot, lambda: app.table.chosen == wanted - 1)


async def test_a_shorter_list_takes_the_place_of_one_that_still_comes() -> None:
    app = Shown()
    async with app.run_test() as pilot:
        app.table.fill(rows(4 * PART))
        app.table.fill(rows(3, "few"), 2)
        assert app.table.row_count == 3 and app.table.cursor_row == 2
        await pilot.pause(0.1)
        assert app.table.row_count == 3
