"""Generate: a prompt, its settings, the queue, and every picture with how it was made."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from secrets import randbelow
from tempfile import TemporaryDirectory
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Input, Label, ProgressBar, Static, Switch

from lfsd_cli.tui.data import ConceptRow, Shot, Snapshot
from lfsd_cli.tui.drawing import Drawing
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.picture import PictureView
from lfsd_cli.tui.prompt import TokenHighlighter, TokenSuggester
from lfsd_cli.tui.room import Room
from lfsd_cli.tui.screens.confirm import AskScreen

HELLO = "type a prompt and press Enter"
FIELDS = {  # id -> label, value at first, width
    "n": ("n", "1", 4),
    "seed": ("seed", "", 11),
    "steps": ("steps", "30", 5),
    "guidance": ("scale", "", 5),
    "as-of": ("as of", "", 6),
}
SHOWN = 4

# Of the gallery: `n` is the session it was drawn at; the table's edge cuts a long prompt.
COLUMNS = {"seed": 10, "n": 3, "picture": 60}


class GenerateRoom(Room):
    """The prompt on top, the pictures below: a list at the left, up to four at the right."""

    NAME = "generate"
    DEFAULT_CSS = """
    GenerateRoom #prompt { margin: 0; }
    GenerateRoom #settings { height: 1; padding: 0 1; }
    GenerateRoom #settings Label { margin: 0 1 0 0; color: $text-muted; }
    GenerateRoom #settings Input { margin: 0 1 0 0; background: $boost; }
    GenerateRoom #settings Switch { height: 1; border: none; padding: 0; }
    GenerateRoom #status { height: auto; max-height: 4; padding: 0 1; }
    GenerateRoom #bar { padding: 0 1; }
    GenerateRoom #gallery { width: 36; height: 1fr; scrollbar-size-horizontal: 0; }
    GenerateRoom.-wide #gallery { width: 60; }
    GenerateRoom #pictures { height: 1fr; }
    GenerateRoom .shown { width: 1fr; height: 1fr; padding: 0 1; }
    GenerateRoom .caption { height: 1; color: $text-muted; text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "again", "Another seed"),
        Binding("c", "compare_context", "Compare context"),
        Binding("o", "compare_session", "As of session"),
        Binding("slash", "prompt", "Prompt", key_display="/"),
        Binding("x", "stop", "Stop", show=False),
        Binding("escape", "gallery", "Pictures", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._waiting = ("", "")
        self._prepared = False
        self._pairs = 0
        self._pair_shots: dict[int, list[Shot]] = {}
        self._rows: list[Shot] = []
        self._awaited: tuple[list[Path], int] = ([], 0)
        self._scratch = TemporaryDirectory(prefix="lfsd-tui-", ignore_cleanup_errors=True)
        self._live_seen = (0, 0)  # of a job, which and how many of its previews were shown

    def body(self) -> ComposeResult:
        """Prompt, settings, state, pictures."""
        concepts = self._concepts
        yield Input(
            placeholder="a V1 cat on a beach",
            id="prompt",
            select_on_focus=False,
            highlighter=TokenHighlighter(concepts),
            suggester=TokenSuggester(concepts),
        )
        with Horizontal(id="settings"):
            for name, (label, value, width) in FIELDS.items():
                yield Label(label)
                field = Input(value, id=name, compact=True)
                field.styles.width = width
                yield field
            yield Label("context")
            yield Switch(True, id="context")
        yield ProgressBar(id="bar", show_eta=False)
        yield Static(HELLO, id="status", markup=False)
        with Horizontal():
            yield DataTable(id="gallery", cursor_type="row")
            with Horizontal(id="pictures"):
                for number in range(SHOWN):
                    with Vertical(classes="shown", id=f"shown-{number}"):
                        yield PictureView(id=f"picture-{number}")
                        yield Static("", id=f"caption-{number}", classes="caption", markup=False)

    def _concepts(self) -> Sequence[ConceptRow]:
        return self.snapshot.concepts

    def prepare(self) -> None:
        """Columns, a hidden bar, and the prompt that was waiting for us."""
        for name, width in COLUMNS.items():
            self.query_one("#gallery", DataTable).add_column(name, width=width)
        self.query_one("#bar", ProgressBar).display = False
        self._show([])
        self._prepared = True
        self.begin(*self._waiting)

    def on_unmount(self) -> None:
        """The picture that was taking shape is not needed any more."""
        self._scratch.cleanup()

    def begin(self, prompt: str, as_of: str = "") -> None:
        """Put a prompt in place and the cursor behind it; kept until the screen is there."""
        self._waiting = (prompt, as_of)
        if not self._prepared:
            return
        line = self.query_one("#prompt", Input)
        if prompt:
            line.value = prompt
            line.cursor_position = len(prompt)
            self.query_one("#as-of", Input).value = as_of
        line.focus()

    # ---- asking for pictures ------------------------------------------------------------------
    @on(Input.Submitted)
    def _submitted(self) -> None:
        drawing = self.drawing()
        if drawing is not None:
            self.submit(drawing)

    def drawing(self) -> Drawing | None:
        """What the form asks for; None, and a word about it, if a field is wrong."""
        prompt = self.query_one("#prompt", Input).value.strip()
        if not prompt:
            self._say(HELLO)
            return None
        try:
            return Drawing(
                prompt,
                n=self._whole("n", 1),
                seed=None if self._field("seed") is None else self._whole("seed", 0),
                steps=self._whole("steps", 30),
                guidance=self._field("guidance"),
                context=self.query_one("#context", Switch).value,
                as_of=self.query_one("#as-of", Input).value.strip(),
            )
        except ValueError as error:
            self._say(str(error))
            return None

    def _field(self, name: str) -> float | None:
        """A number that was typed, or None; ValueError says which field is wrong."""
        text = self.query_one(f"#{name}", Input).value.strip()
        try:
            value = float(text) if text else None
        except ValueError:
            value = -1.0
        if value is not None and not (value >= 0 and (name == "guidance" or value == int(value))):
            raise ValueError(f"{FIELDS[name][0]}: {text!r} is no number that can be used")
        return value

    def _whole(self, name: str, default: int) -> int:
        value = self._field(name)
        return default if value is None else int(value)

    def submit(self, drawing: Drawing) -> Job:
        """Queue a drawing."""
        live = Path(self._scratch.name) / "live.png"
        return self.lfsd.jobs.submit(drawing.job(self.lfsd.pictures, live))

    @property
    def current(self) -> Shot | None:
        """The picture under the cursor."""
        row = self.query_one("#gallery", DataTable).cursor_row
        return self._rows[row] if row < len(self._rows) else None

    def action_again(self) -> None:
        """The picture under the cursor with another seed."""
        if self.current is not None:
            drawing = Drawing("").like(self.current)
            self.submit(replace(drawing, seed=randbelow(2**31), as_of=self._as_of(self.current)))

    def action_compare_context(self) -> None:
        """The same seed with and without the concepts' vision contexts, side by side."""
        if self.current is not None:
            self._pair(self.current, lambda d: replace(d, context=not d.context))

    def action_compare_session(self) -> None:
        """The same seed as the model was after another session, side by side."""
        shot, head = self.current, self.snapshot.head
        if shot is None or head is None:
            return

        def asked(session: str | None) -> None:
            if session:
                self._pair(shot, lambda d: replace(d, as_of=session))

        question = f"Compare with the model after which session? (0 to {head.number})"
        self.app.push_screen(AskScreen(question), asked)

    def _pair(self, shot: Shot, vary: Callable[[Drawing], Drawing]) -> None:
        """Draw a variation; when it is there, it is shown beside the picture it varies."""
        self._pairs += 1
        self._pair_shots[self._pairs] = [shot]
        drawing = replace(Drawing("").like(shot), as_of=self._as_of(shot), pair=self._pairs)
        self.submit(vary(drawing))

    def _as_of(self, shot: Shot) -> str:
        """The session a picture was drawn at, if the store no longer stands there."""
        head = self.snapshot.head
        known = {row.id for row in self.snapshot.sessions}
        at_head = head is not None and shot.session_id == head.id
        return "" if at_head or shot.session_id not in known else shot.session_id

    def action_stop(self) -> None:
        """Stop the drawing that runs."""
        running = self.lfsd.jobs.running
        if running is not None and running.verb == "gen":
            self.lfsd.jobs.stop(running)

    # ---- what comes back ----------------------------------------------------------------------
    def job_changed(self, job: Job) -> None:
        """Progress, pictures, or what went wrong."""
        if not isinstance(job.about, Drawing):
            return
        bar = self.query_one("#bar", ProgressBar)
        bar.display = job.state is State.RUNNING
        bar.update(total=job.total or None, progress=job.step)
        self._say("\n".join([job.headline, *job.notes[-2:]]))
        if job.state is State.RUNNING:
            self._taking_shape(job)
        elif job.state is State.DONE:
            self._finished(job, job.about)
        elif job.over:
            if self._live_seen[0] == id(job):
                self._show([])
            self._say(job.error or job.headline)

    def _taking_shape(self, job: Job) -> None:
        """The picture so far, beside the one it is to be compared with, if there is one."""
        seen = (id(job), len(job.previews))
        browsing = self.query_one("#gallery").has_focus  # and not to be disturbed
        if job.previews and seen != self._live_seen and not browsing:
            self._live_seen = seen
            pair = job.about.pair if isinstance(job.about, Drawing) else 0
            self._show(self._pair_shots.get(pair, []), taking_shape=job.previews[-1])

    def _finished(self, job: Job, drawing: Drawing) -> None:
        """The files say best how they were made: show them when the folder has been read."""
        paths = [Path(image["path"]) for image in job.document.get("images", [])]
        self._awaited = (paths, drawing.pair)
        self._say(f"{len(paths)} drawn: {paths[0]}" if paths else "nothing drawn")

    def store_read(self, snapshot: Snapshot) -> None:
        """The pictures' folder has been read, perhaps."""
        if self.lfsd.shots == self._rows:
            return
        self._fill(self.lfsd.shots)
        paths, pair = self._awaited
        new = [shot for path in paths for shot in self._rows if shot.path == path]
        if new:
            self._awaited = ([], 0)
            self._show([*self._pair_shots.get(pair, []), *new][:SHOWN])
        elif not self.shown:
            self._show(self._rows[:1])

    def _fill(self, rows: list[Shot]) -> None:
        self._rows = rows
        table = self.query_one("#gallery", DataTable)
        with self.prevent(DataTable.RowHighlighted):
            table.clear()
            for shot in rows:
                session = "" if shot.session is None else str(shot.session)
                prompt = shot.prompt if shot.context else f"no context: {shot.prompt}"
                table.add_row(Text(str(shot.seed)), Text(session), Text(prompt))

    @on(DataTable.RowHighlighted, "#gallery")
    def _moved(self, event: DataTable.RowHighlighted) -> None:
        if event.data_table.has_focus and self.current is not None:
            self._show([self.current])

    def _show(self, shots: list[Shot], taking_shape: Path | None = None) -> None:
        """Put up to four pictures side by side, last the one that is being drawn."""
        pictures = [(shot.path, shot.caption) for shot in shots]
        if taking_shape is not None:
            pictures = [*pictures[: SHOWN - 1], (taking_shape, "taking shape")]
        for number in range(SHOWN):
            here = number < len(pictures)
            path, caption = pictures[number] if here else (None, "")
            self.query_one(f"#shown-{number}").display = here or (number == 0 and not pictures)
            self.query_one(f"#picture-{number}", PictureView).show(path)
            self.query_one(f"#caption-{number}", Static).update(caption)

    @property
    def shown(self) -> list[Path]:
        """The files of the pictures on the screen."""
        views = [self.query_one(f"#picture-{n}", PictureView) for n in range(SHOWN)]
        return [view.source for view in views if isinstance(view.source, Path)]

    def action_prompt(self) -> None:
        """Back to the prompt."""
        self.query_one("#prompt").focus()

    def action_gallery(self) -> None:
        """To the pictures."""
        self.query_one("#gallery").focus()

    def _say(self, text: str) -> None:
        self.query_one("#status", Static).update(text)


ROOM = GenerateRoom
