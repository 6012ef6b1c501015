"""What the tests of the terminal app share: waiting for it, and stores and pictures to show."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from textual.app import App
from textual.css.query import NoMatches
from textual.pilot import Pilot, WaitForScreenTimeout
from textual.widgets import DataTable, Static

from lfsd.png import save_png
from lfsd_cli.tui.job import Changed, Job, State
from store.store import Store


def shown(app: App[None], selector: str) -> str:
    """The text of a Static on the screen."""
    return str(app.screen.query_one(selector, Static).content)


def column(app: App[None], selector: str, number: int = 0) -> list[str]:
    """A column of a table, top to bottom."""
    table = app.screen.query_one(selector, DataTable)
    return [str(table.get_row_at(i)[number]) for i in range(table.row_count)]


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    """Wait for the screen to follow; a busy machine may take a while."""
    for _ in range(600):
        # A screen that is still being put together, or a machine busier than Pilot's patience.
        with suppress(NoMatches, WaitForScreenTimeout):
            await pilot.pause()
            if true():
                return
        await asyncio.sleep(0.05)
    raise AssertionError("the screen did not follow within half a minute")


def in_room(app: Any, name: str) -> bool:
    """Whether a room is on the screen, ready."""
    return bool(app.current_mode == name and app.screen.is_mounted and not app.screen.is_modal)


def picture(
    folder: Path, prompt: str, seed: int, home: Path, concepts: Sequence[str] = (), **other: Any
) -> Path:
    """A PNG as `lfsd gen` writes it, of one colour, drawn at the store's head."""
    with Store.open(home) as store:
        session = {"id": store.head.id, "number": store.head.number}
    made = {
        "prompt": prompt, "seed": seed, "concepts": list(concepts), "steps": 12, "guidance": 4.0,
        "guidance_fraction": 0.6, "negative": "blur", "icgen": "attend", "context_strength": 0.8,
        "context_blend": 0.3, "contexts": dict.fromkeys(concepts, 4), "session": session, **other,
    }  # fmt: skip
    image = Image.new("RGB", (16, 16), (200, 10 * seed % 256, 10))
    return save_png(image, made, folder / f"{prompt.replace(' ', '-')}-{seed}.png")


def pretend(app: Any, job: Job) -> Job:
    """Have the app believe that a job runs, without a process."""
    job.state = State.RUNNING
    app.jobs.all.append(job)
    app.post_message(Changed(job))
    return job


def hear(app: Any, job: Job, **event: Any) -> None:
    """One event line of a job."""
    job.hear(event)
    app.post_message(Changed(job))


def finish(app: Any, job: Job, code: int = 0, printed: bytes = b"{}", **last: Any) -> None:
    """The end of a job."""
    job.end(code, printed, last)
    app.post_message(Changed(job))
