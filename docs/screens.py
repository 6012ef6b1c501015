"""The terminal app's rooms over a store, as SVG for the documentation.

python docs/screens.py HOME PICTURES OUT
"""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

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
    """Every room that shows a store, as `tui-ROOM.svg`."""
    app = LfsdApp(home, pictures)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: bool(app.snapshot.concepts and app.shots))
        for name in [name for name in ROOMS if name != "learn"]:
            app.action_room(name)
            await until(pilot, lambda name=name: app.current_mode == name)  # type: ignore[misc]
            await pilot.pause(1)
            app.save_screenshot(f"tui-{name}.svg", str(out))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(rooms(args.home, args.pictures, args.out))


if __name__ == "__main__":
    main()
