"""What every screen looks like, as SVG, at two sizes: a change shows up as a changed file.

`pytest tests/cli/tui/test_looks.py --snapshot-update` takes what is drawn now for right: look at
the files before they are committed.
"""

import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.pilot import Pilot
from textual.widgets import Input

from lfsd_cli.tui import data
from lfsd_cli.tui.app import LfsdApp
from lfsd_cli.tui.drawing import Drawing
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.room import ROOMS
from store.store import Store
from tests.cli.conftest import BASE, commit
from tests.cli.tui.support import column, finish, hear, in_room, picture, pretend, shown, until

SIZES = {"80x24": (80, 24), "140x45": (140, 45)}
THREE = (("V1", "cat"), ("V2", "teddy bear"), ("V3", "car"))
Prepare = Callable[[LfsdApp, Pilot[None]], Awaitable[None]]


class Svg(SingleFileSnapshotExtension):
    """One SVG file per picture, without what differs from run to run."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return SIZES[request.param]


@pytest.fixture(autouse=True)
def _always_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions a minute apart in one place of the world, in a folder of a known name."""
    minutes = count()
    monkeypatch.setattr(
        "store.commit.now",
        lambda: "2026-01-02T{:02}:{:02}:00.000Z".format(*divmod(next(minutes), 60)),
    )
    monkeypatch.delenv("NO_COLOR", raising=False)  # whatever the terminal of who tests can do
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("store.create.secrets", SimpleNamespace(token_hex=lambda n: "5e" * n))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dog").mkdir()
    monkeypatch.chdir(tmp_path / "photos")


@pytest.fixture
def three(home: Path, tmp_path: Path) -> Path:
    """Three concepts, measured after each session, with a picture each."""
    with Store.create(home, BASE) as store:
        fidelity: dict[str, float] = {}
        for n, (token, noun) in enumerate(THREE):
            commit(store, token, noun, seed=n)
            change = -0.04 * n
            pcf = {t: {"change": change} for t in fidelity}
            fidelity = {t: f + change for t, f in fidelity.items()} | {token: 0.8}
            store.update_metrics(store.head.id, {"fidelity": fidelity, "pcf": pcf})
    for n, (token, noun) in enumerate(THREE):
        picture(tmp_path, f"a photo of a {token} {noun}", n, home, [token])
    return home


@pytest.fixture
def many(home: Path) -> Path:
    """Two hundred concepts."""
    with Store.create(home, BASE) as store:
        for n in range(200):
            commit(store, f"V{n + 1}", ("cat", "dog", "teapot")[n % 3], seed=n)
    return home


def drawn(app: LfsdApp) -> str:
    """The screen as SVG, without the name that Rich makes up for it."""
    svg = app.export_screenshot(title="lfsd")
    return re.sub(r"\bterminal-\d+-", "terminal-", svg)


async def look(
    home: Path, pictures: Path, size: tuple[int, int], prepare: Prepare, expected: SnapshotAssertion
) -> None:
    """Start the app, bring it where it should be, compare."""
    app = LfsdApp(home, pictures)
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.snapshot.problem != "" or app.snapshot.base != "")
        await prepare(app, pilot)
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()
        assert drawn(app) == expected(extension_class=Svg)


def room(name: str) -> Prepare:
    """Go to a room."""

    async def go(app: LfsdApp, pilot: Pilot[None]) -> None:
        app.action_room(name)
        await until(pilot, lambda: in_room(app, name))
        await pilot.pause(0.2)

    return go


@pytest.mark.parametrize("name", ROOMS)
async def test_nothing_learned(
    home: Path, tmp_path: Path, size: tuple[int, int], name: str, snapshot: SnapshotAssertion
) -> None:
    Store.create(home, BASE).close()
    await look(home, tmp_path, size, room(name), snapshot)


@pytest.mark.parametrize("name", ROOMS)
async def test_three_concepts(
    three: Path, tmp_path: Path, size: tuple[int, int], name: str, snapshot: SnapshotAssertion
) -> None:
    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(app.shots) == 3)
        await room(name)(app, pilot)

    await look(three, tmp_path, size, ready, snapshot)


async def test_one_concept(
    three: Path, tmp_path: Path, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(app.shots) == 3 and len(column(app, "#concepts")) == 3)
        await pilot.press("enter")
        await pilot.pause(0.5)

    await look(three, tmp_path, size, ready, snapshot)


@pytest.mark.parametrize("name", ["concepts", "sessions", "report"])
async def test_two_hundred_concepts(
    many: Path, tmp_path: Path, size: tuple[int, int], name: str, snapshot: SnapshotAssertion
) -> None:
    await look(many, tmp_path, size, room(name), snapshot)


async def begin(app: LfsdApp, pilot: Pilot[None]) -> Job:
    """Fill the form in and begin; the job runs without a process."""
    await room("learn")(app, pilot)
    for name, value in {"photos": "dog", "token": "V4", "class": "dog"}.items():
        app.screen.query_one(f"#{name}", Input).value = value
    await until(pilot, lambda: shown(app, "#verdict") == '"a V4 dog"')
    blocker = pretend(app, Job("drawing", ["gen"]))
    await pilot.press("ctrl+l")
    await until(pilot, lambda: len(app.jobs.waiting) == 1)
    app.jobs.all.remove(blocker)
    app.jobs.all[0].state = State.RUNNING
    return app.jobs.all[0]


async def test_a_session_is_being_learned(
    three: Path, tmp_path: Path, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    preview = tmp_path / "preview.png"
    Image.new("RGB", (16, 16), "orange").save(preview)

    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        job = await begin(app, pilot)
        hear(app, job, event="stage", name="learning")
        for step in range(1, 61):
            hear(app, job, event="step", step=step, total=200, loss_dm=1 / step, loss_kd=step / 900,
                 seconds_left=70)  # fmt: skip
        hear(app, job, event="preview", path=str(preview), step=60)
        await until(pilot, lambda: "60/200" in shown(app, "#status"))
        await pilot.pause(0.5)

    await look(three, tmp_path, size, ready, snapshot)


async def test_a_session_failed(
    three: Path, tmp_path: Path, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        job = await begin(app, pilot)
        error = {"message": "the device has too little memory", "hint": "try --batch 1"}
        finish(app, job, 7, b"", error=error)
        await until(pilot, lambda: "too little memory" in shown(app, "#status"))

    await look(three, tmp_path, size, ready, snapshot)


async def test_a_picture_is_being_drawn(
    three: Path, tmp_path: Path, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(app.shots) == 3)
        app.draw("a V1 cat on a beach")
        await until(pilot, lambda: in_room(app, "generate") and column(app, "#gallery") != [])
        job = pretend(app, Drawing("a V1 cat on a beach", seed=5).job(tmp_path))
        hear(app, job, event="stage", name="sampling")
        hear(app, job, event="sampling", step=12, total=30)
        await until(pilot, lambda: "drawing 12/30" in shown(app, "#status"))

    await look(three, tmp_path, size, ready, snapshot)


async def test_a_drawing_failed_beside_a_drawn_one(
    three: Path, tmp_path: Path, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        app.draw("a V3 car")
        await until(pilot, lambda: in_room(app, "generate") and len(column(app, "#gallery")) == 3)
        done = pretend(app, Drawing("a V3 car", seed=9).job(tmp_path))
        path = picture(tmp_path, "a V3 car", 9, three, ["V3"])
        finish(app, done, 0, json.dumps({"images": [{"path": str(path), "seed": 9}]}).encode())
        await until(pilot, lambda: len(column(app, "#gallery")) == 4)
        failed = pretend(app, Drawing("a V3 car", seed=10).job(tmp_path))
        finish(app, failed, 7, b"", error={"message": "no space left", "hint": "free 2 MB"})
        await until(pilot, lambda: "no space left" in shown(app, "#status"))

    await look(three, tmp_path, size, ready, snapshot)


async def test_a_damaged_store(
    three: Path,
    tmp_path: Path,
    size: tuple[int, int],
    snapshot: SnapshotAssertion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (three / "format.json").write_text("{")

    def read(home: Path) -> data.Snapshot:
        """What is read, in a folder of a known name."""
        found = real(home)
        return replace(found, problem=found.problem.replace(str(home), "/home/me/lfsd"))

    real = data.read
    monkeypatch.setattr(data, "read", read)

    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: bool(shown(app, "#empty")))

    await look(three, tmp_path, size, ready, snapshot)


@pytest.mark.parametrize("key", ["f1", "ctrl+q"])
async def test_questions(
    three: Path, tmp_path: Path, size: tuple[int, int], key: str, snapshot: SnapshotAssertion
) -> None:
    async def ready(app: LfsdApp, pilot: Pilot[None]) -> None:
        await room("sessions")(app, pilot)
        pretend(app, Job("learning V4", ["learn"]))
        await pilot.press(key)
        await until(pilot, lambda: app.screen.is_modal)

    await look(three, tmp_path, size, ready, snapshot)
