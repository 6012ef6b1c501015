"""How long `lfsd tui` holds up its screen while a job runs.

    python -m benchmarks.tui_stalls [--concepts 1000] [--seconds 5] [--folder DIR]

The app runs without a terminal over a store of many concepts; a job is pretended that sends 20
steps a second, its losses and a preview every half second. Every callback of the event loop is
timed, room by room, in milliseconds of the screen's own processor time (a busy machine does not
matter); the longest are printed. What happens while a room is entered is listed apart.
"""

import argparse
import asyncio
import tempfile
import time
from asyncio.events import Handle
from collections import defaultdict
from pathlib import Path

from PIL import Image
from textual.pilot import Pilot

from benchmarks.store_scale import filled
from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.drawing import Drawing
from lfsd_cli.tui.job import Changed, Job, State
from lfsd_cli.tui.lesson import Lesson
from lfsd_cli.tui.room import ROOMS


class Stopwatch:
    """Times every callback of the loop, under the name of what goes on."""

    def __init__(self) -> None:
        self.name = "start"
        self.times: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._run = Handle._run

    def __enter__(self) -> "Stopwatch":
        def timed(handle: Handle) -> None:
            began = time.thread_time()
            self._run(handle)
            spent = 1000 * (time.thread_time() - began)
            self.times[self.name].append((spent, _task(handle)))

        Handle._run = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Handle._run = self._run  # type: ignore[method-assign]


async def watch(app: LfsdApp, pilot: Pilot[None], watch: Stopwatch, seconds: float) -> None:
    """Go through the rooms while jobs run."""
    previews = sorted(app.pictures.glob("preview-*.png"))
    for room in ROOMS:
        watch.name = f"{room}, entering"
        app.action_room(room)
        await pilot.pause(1.0)
        watch.name = room
        about = Drawing("a T5 cat") if room == "generate" else Lesson(app.pictures, "V9", "cat")
        job = Job("a job", ["gen" if room == "generate" else "learn"], about=about)
        job.state = State.RUNNING
        app.jobs.all.append(job)
        for n in range(int(20 * seconds)):
            job.hear({
                "event": "step", "step": n, "total": 20 * seconds, "loss_dm": 1 / (n + 1),
                "loss_kd": 0.1 / (n + 1), "seconds_left": 9.0,
            })  # fmt: skip
            if n % 10 == 0:
                path = previews[n // 10 % len(previews)]
                job.hear({"event": "preview", "path": str(path), "step": n})
            app.post_message(Changed(job))
            await asyncio.sleep(0.05)
        app.jobs.all.remove(job)


def _task(handle: Handle) -> str:
    """Whose callback it is: a widget's message pump carries its name."""
    owner = getattr(handle._callback, "__self__", None)
    return owner.get_name() if isinstance(owner, asyncio.Task) else "other"


async def measure(home: Path, seconds: float) -> dict[str, list[tuple[float, str]]]:
    """Milliseconds of every callback and whose it is, by room."""
    with tempfile.TemporaryDirectory() as pictures, Stopwatch() as stopwatch:
        for n in range(10):
            noise = Image.effect_noise((512, 512), n + 10)
            noise.convert("RGB").save(Path(pictures) / f"preview-{n}.png")
        app = LfsdApp(home, Path(pictures))
        async with app.run_test(size=(140, 45)) as pilot:
            await pilot.pause(3.0)
            await watch(app, pilot, stopwatch, seconds)
    return stopwatch.times


def main() -> None:
    """Print the longest callbacks of each room."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--concepts", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = filled(asked.folder or Path(scratch), asked.concepts)
        for name, times in asyncio.run(measure(home, asked.seconds)).items():
            longest = ", ".join(f"{t:.0f} {who}" for t, who in sorted(times, reverse=True)[:3])
            over = sum(t > 50 for t, _ in times)
            print(f"{name:20} {len(times):5} callbacks, {over} over 50 ms; longest {longest}")


if __name__ == "__main__":
    main()
