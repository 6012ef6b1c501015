"""Pictures for the documentation, made by the program itself.

python docs/screens.py tui HOME PICTURES OUT     the terminal app's rooms over a store, as SVG
python docs/screens.py sheet LIST OUT.png        the pictures named in a file, column by column
"""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from textual.pilot import Pilot

from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.room import ROOMS

SIZE = (110, 32)


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    """Wait for the screen to follow."""
    for _ in range(400):
        await pilot.pause(0.05)
        if true():
            return
    raise SystemExit("the screen did not follow")


async def rooms(home: Path, pictures: Path, out: Path) -> None:
    """Every room that shows something of a store without a job, as `tui-ROOM.svg`."""
    app = LfsdApp(home, pictures)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: bool(app.snapshot.concepts and app.shots))
        for name in ROOMS:
            app.action_room(name)
            await until(pilot, lambda name=name: app.current_mode == name)  # type: ignore[misc]
            await pilot.pause(1)
            app.save_screenshot(f"tui-{name}.svg", str(out))


def sheet(files: list[Path], columns: int) -> Image.Image:
    """Pictures of one size, filled in column by column."""
    pictures = [Image.open(file).convert("RGB") for file in files]
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * width, rows * height), "white")
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i // rows * width, i % rows * height))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    tui = what.add_parser("tui")
    tui.add_argument("home", type=Path)
    tui.add_argument("pictures", type=Path)
    tui.add_argument("out", type=Path)
    grid = what.add_parser("sheet")
    grid.add_argument("list", type=Path)
    grid.add_argument("out", type=Path)
    grid.add_argument("--columns", type=int, default=10)
    args = parser.parse_args()
    if args.what == "tui":
        asyncio.run(rooms(args.home, args.pictures, args.out))
    else:
        files = [Path(line) for line in args.list.read_text(encoding="utf-8").splitlines()]
        sheet(files, args.columns).save(args.out)


if __name__ == "__main__":
    main()
