"""`lfsd tui`: three tabs (concepts, sessions, generate) over one store."""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import (
    DataTable,
    Footer,
    Header,
    Input,
    ProgressBar,
    Static,
    TabbedContent,
    TabPane,
)

from lfsd_cli.pictures import DEFAULT_FOLDER
from lfsd_cli.tui import data, job
from lfsd_cli.tui.picture import PictureView

EMPTY = "nothing learned yet\n\nin a shell:  lfsd learn PHOTOS --token V1 --class cat"


class LfsdApp(App[None]):
    """Browse what was learned and draw it.

    `home` is the store; pictures go to `pictures`. The store is read at the start and on `r`.
    """

    TITLE = "lfsd"
    CSS = """
    #concepts { width: 3fr; }
    #detail { width: 2fr; padding: 0 2; }
    #picture { height: 1fr; margin: 1 2; }
    #status { height: auto; margin: 0 2; }
    #bar { margin: 0 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "tab('tab-concepts')", "Concepts"),
        Binding("f2", "tab('tab-sessions')", "Sessions"),
        Binding("f3", "tab('tab-generate')", "Generate"),
        Binding("ctrl+r", "reload", "Reload"),
        Binding("ctrl+q", "quit", "Quit"),
    ]

    def __init__(self, home: Path, pictures: Path = DEFAULT_FOLDER) -> None:
        super().__init__()
        self._home = home
        self._pictures = pictures
        self._snapshot = data.Snapshot("", [], [])

    def compose(self) -> ComposeResult:
        """The screen."""
        yield Header()
        with TabbedContent(initial="tab-concepts"):
            with TabPane("Concepts", id="tab-concepts"), Horizontal():
                yield DataTable(id="concepts", cursor_type="row")
                yield Static(EMPTY, id="detail", markup=False)
            with TabPane("Sessions", id="tab-sessions"):
                yield DataTable(id="sessions", cursor_type="row")
            with TabPane("Generate", id="tab-generate"), Vertical():
                yield Input(placeholder="a V1 cat on a beach", id="prompt", select_on_focus=False)
                yield ProgressBar(id="bar", show_eta=False)
                yield Static("type a prompt and press Enter", id="status", markup=False)
                yield PictureView(id="picture")
        yield Footer()

    def on_mount(self) -> None:
        """Fill the tables."""
        self.query_one("#concepts", DataTable).add_columns(*data.CONCEPT_COLUMNS)
        self.query_one("#sessions", DataTable).add_columns(*data.SESSION_COLUMNS)
        self.query_one("#bar", ProgressBar).display = False
        self.action_reload()
        self.query_one("#concepts").focus()

    # ---- browsing -----------------------------------------------------------------------------
    def action_reload(self) -> None:
        """Read the store again."""
        self._snapshot = data.read(self._home)
        self.sub_title = f"{self._home} on {self._snapshot.base}"
        concepts = self.query_one("#concepts", DataTable)
        concepts.clear()
        for row in self._snapshot.concepts:
            concepts.add_row(*map(Text, row.cells), key=row.token)
        sessions = self.query_one("#sessions", DataTable)
        sessions.clear()
        for cells in self._snapshot.sessions:
            sessions.add_row(*map(Text, cells))
        if not self._snapshot.concepts:
            self.query_one("#detail", Static).update(EMPTY)

    def action_tab(self, tab: str) -> None:
        """Go to a tab and put the cursor where the hands expect it."""
        self.query_one(TabbedContent).active = tab
        first = {"tab-concepts": "#concepts", "tab-sessions": "#sessions"}.get(tab, "#prompt")
        self.query_one(first).focus()

    @on(DataTable.RowHighlighted, "#concepts")
    def _show_concept(self, event: DataTable.RowHighlighted) -> None:
        row = self._concept(event.row_key.value)
        if row is not None:
            self.query_one("#detail", Static).update(row.detail)

    @on(DataTable.RowSelected, "#concepts")
    def _prompt_for_concept(self, event: DataTable.RowSelected) -> None:
        row = self._concept(event.row_key.value)
        if row is not None:
            self.action_tab("tab-generate")
            prompt = self.query_one("#prompt", Input)
            prompt.value = f"a photo of a {row.token} {row.class_noun}"
            prompt.cursor_position = len(prompt.value)

    def _concept(self, token: str | None) -> data.ConceptRow | None:
        return next((row for row in self._snapshot.concepts if row.token == token), None)

    # ---- drawing ------------------------------------------------------------------------------
    @on(Input.Submitted, "#prompt")
    def _begin(self, event: Input.Submitted) -> None:
        prompt = event.value.strip()
        if not prompt:
            return
        self._say(f"drawing: {prompt}")
        bar = self.query_one("#bar", ProgressBar)
        bar.update(total=None)
        bar.display = True
        picture = self.query_one(PictureView)
        # exclusive: another prompt ends the job that runs.
        self.run_worker(
            job.generate(picture, self._home, prompt, self._pictures), exclusive=True, group="job"
        )

    @on(job.Progress)
    def _advance(self, message: job.Progress) -> None:
        self.query_one("#bar", ProgressBar).update(total=message.total, progress=message.step)

    @on(job.Remark)
    def _remark(self, message: job.Remark) -> None:
        self.notify(message.text, markup=False)

    @on(job.Finished)
    def _finished(self, message: job.Finished) -> None:
        from PIL import Image

        self.query_one("#bar", ProgressBar).display = False
        image = message.document["images"][0]
        with Image.open(image["path"], formats=["PNG"]) as picture:
            self.query_one(PictureView).set_picture(picture.convert("RGB"))
        self._say(f"{image['path']}  seed {image['seed']}")

    @on(job.Failed)
    def _failed(self, message: job.Failed) -> None:
        self.query_one("#bar", ProgressBar).display = False
        self._say(message.text)

    def _say(self, text: str) -> None:
        self.query_one("#status", Static).update(text)
