"""One concept: its picture, its numbers and history, and what can be done with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from lfsd_cli.documents import figures, local_time
from lfsd_cli.text import clean, human_bytes, human_seconds
from lfsd_cli.trends import bars
from lfsd_cli.tui import data
from lfsd_cli.tui.data import ConceptRow, Snapshot
from lfsd_cli.tui.job import Job
from lfsd_cli.tui.picture import PictureView
from lfsd_cli.tui.screens.confirm import AskScreen, ConfirmScreen

if TYPE_CHECKING:
    from lfsd_cli.tui.app import LfsdApp


class ConceptScreen(Screen[None]):
    """Opened on top of the room it came from; Escape goes back."""

    class Read(Message):
        """Everything the store says about it (or why it does not)."""

        def __init__(self, detail: dict[str, Any], problem: str = "") -> None:
            super().__init__()
            self.detail = detail
            self.problem = problem

    DEFAULT_CSS = """
    ConceptScreen #title { height: 1; background: $primary; color: $text; padding: 0 1; }
    ConceptScreen #text { width: 1fr; padding: 0 2; }
    ConceptScreen #big { width: 1fr; height: 1fr; margin: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("g", "draw", "Generate"),
        Binding("n", "rename", "Rename"),
        Binding("e", "export", "Export"),
        Binding("delete,x", "remove", "Remove"),
    ]

    def __init__(self, row: ConceptRow) -> None:
        super().__init__()
        self.row = row

    @property
    def lfsd(self) -> "LfsdApp":
        """The app, as what it is."""
        return cast("LfsdApp", self.app)

    def compose(self) -> ComposeResult:
        """Text at the left, the picture at the right."""
        yield Static("", id="title", markup=False)
        with Horizontal():
            with VerticalScroll(id="text"):
                yield Static("", id="facts", markup=False)
            yield PictureView(id="big")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read the rest."""
        self.lfsd.store_signal.subscribe(self, self._store_read)
        self.query_one("#text").focus()
        self._store_read(self.lfsd.snapshot)

    def _store_read(self, snapshot: Snapshot) -> None:
        """Follow a rename; a concept that has gone closes its screen."""
        row = next((row for row in snapshot.concepts if row.id == self.row.id), None)
        if row is None:
            if self.is_current:
                self.action_back()
            return
        self.row = row
        self.query_one("#title", Static).update(f"{row.token}: a {row.class_noun}")
        self.query_one("#big", PictureView).show(self.lfsd.portrait(row.token))
        self._read(row.token)

    @work(thread=True, exclusive=True)
    def _read(self, token: str) -> None:
        from store.errors import LfsdError

        try:
            self.post_message(self.Read(data.detail(self.lfsd.home, token)))
        except LfsdError as error:
            self.post_message(self.Read({}, clean(error.message)))

    @on(Read)
    def _show(self, message: Read) -> None:
        text = message.problem or describe(self.row, message.detail)
        self.query_one("#facts", Static).update(text)

    # ---- what can be done ---------------------------------------------------------------------
    def action_back(self) -> None:
        """Where we came from."""
        self.app.pop_screen()

    def action_draw(self) -> None:
        """A prompt with this concept."""
        self.lfsd.draw(f"a photo of a {self.row.words}")

    def action_rename(self) -> None:
        """Another token; what was learned stays as it is."""

        def named(new: str | None) -> None:
            if new and new != self.row.token:
                self._submit(f"renaming {self.row.token} to {new}", ["rename", self.row.token, new])

        question = f"Another token for {self.row.words}.\nWhat was learned stays as it is."
        self.app.push_screen(AskScreen(question, self.row.token), named)

    def action_export(self) -> None:
        """LoRA and token for other programs, in a folder of ours to name."""

        def named(folder: str | None) -> None:
            if folder:
                title = f"exporting {self.row.token} to {folder}"
                self._submit(title, ["export", self.row.token], out=folder)

        question = (
            f"Write {self.row.words} for A1111, Forge or ComfyUI, into which folder?\n"
            "README.txt in it says where the files go."
        )
        self.app.push_screen(AskScreen(question, str(free_folder(self.row.token))), named)

    def action_remove(self) -> None:
        """Take it out of use, after a question."""

        def answered(yes: bool | None) -> None:
            if yes:
                self._submit(f"removing {self.row.token}", ["rm", self.row.token])

        question = (
            f"Remove {self.row.words}?\n\nIts token and its contexts leave the model; the shared "
            "weights stay as they are.\nNothing is deleted: undo brings it back."
        )
        self.app.push_screen(ConfirmScreen(question, "Remove"), answered)

    def _submit(self, title: str, words: list[str], out: str | None = None) -> None:
        options = [] if out is None else [f"--out={out}"]
        # A token cannot begin with a dash, but what was typed here can.
        self.lfsd.jobs.submit(Job(title, [words[0], *options, "--", *words[1:]], quick=True))


def free_folder(token: str) -> Path:
    """A folder for an export where we are, of a name that is not taken."""
    names = (f"lfsd-{token}", *(f"lfsd-{token}-{n}" for n in range(2, 1000)))
    paths = (Path(name).absolute() for name in names)
    return next((path for path in paths if not path.exists()), Path(names[0]).absolute())


def describe(row: ConceptRow, detail: dict[str, Any]) -> str:
    """Everything about a concept, line by line."""
    settings = detail["settings"]
    lines = [
        f"learned   session {detail['session']}, {local_time(detail['created'])}",
        f"took      {human_seconds(detail['seconds'])}, {settings.get('steps', '?')} steps",
        f"size      {human_bytes(detail['bytes'])}",
        "",
        f"photos    {detail['photos']}",
    ]
    for photo in detail["photo_files"]:
        caption = f": {clean(photo['caption'])}" if photo["caption"] else ""
        lines.append(f"  {clean(photo['name'])}{caption}")
    lines.append(f"contexts  {', '.join(clean(name) for name in detail['context_photos'])}")
    lines += [f"refused   {clean(r['file'])}: {clean(r['reason'])}" for r in detail["refused"]]
    measured = figures(detail["metrics"], detail["learned_as"], detail["class"])
    if measured:
        lines += ["", "measured when it was learned"]
        lines += [f"  {value:>7}  {clean(name)}" for name, value in measured]
    if row.trend:
        lines += ["", "fidelity since", f"  {bars(row.trend, 24)}"]
        lines.append(f"  {' '.join(f'{value:.3f}' for value in row.trend[-8:])}")
    return "\n".join(lines)
