"""Learn: pick a folder, see what the model will see, name it, and watch it being learned."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Checkbox, DirectoryTree, Input, Label, Static

from lfsd_cli.text import clean, human_seconds
from lfsd_cli.tui.curve import LossCurve
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.lesson import Lesson
from lfsd_cli.tui.picture import PictureView
from lfsd_cli.tui.room import Room

HINT = "choose a folder of 3 to 10 photos of one subject"
FIELDS = {"photos": "a folder", "token": "V1, Max", "class": "cat", "steps": "200"}
STRIP = 2


class FolderTree(DirectoryTree):
    """Folders alone: a subject is a folder of photos."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("backspace", "up", "Folder above")]

    def action_up(self) -> None:
        """Show the folder that holds this one."""
        self.path = Path(self.path).absolute().parent

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Hidden ones are left out."""
        return [path for path in paths if path.is_dir() and not path.name.startswith(".")]


class Tick(Checkbox):
    """A box that is empty until it is ticked, in a terminal without colours too."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Show the cross, or nothing."""
        self.BUTTON_INNER = "X" if self.value else " "
        super().watch_value()


class LearnRoom(Room):
    """At the left the folders and the form, at the right what comes of them."""

    class TokenChecked(Message):
        """Whether a token could be taken; `problem` is "" if so."""

        def __init__(self, token: str, problem: str) -> None:
            super().__init__()
            self.token = token
            self.problem = problem

    NAME = "learn"
    DEFAULT_CSS = """
    LearnRoom #left { width: 38; border-right: solid $panel; }
    LearnRoom.-wide #left { width: 56; }
    LearnRoom #tree { height: 1fr; background: $surface; }
    LearnRoom #form { height: auto; padding: 0 1; }
    LearnRoom #form Horizontal { height: 1; }
    LearnRoom #form Label { width: 7; color: $text-muted; }
    LearnRoom #form Input { width: 1fr; background: $boost; }
    LearnRoom #verdict { height: auto; max-height: 3; }
    LearnRoom #buttons { height: 1; margin-top: 1; }
    LearnRoom #buttons Button { margin: 0 1 0 0; min-width: 8; }
    LearnRoom #right { width: 1fr; padding: 0 1; }
    LearnRoom #status { height: auto; max-height: 8; }
    LearnRoom #sheet { height: 2fr; }
    LearnRoom #notes { height: auto; max-height: 6; }
    LearnRoom #curve { height: 1fr; min-height: 6; }
    LearnRoom #strip { height: 1fr; min-height: 6; }
    LearnRoom #strip PictureView { width: 1fr; margin: 0 1 0 0; }
    LearnRoom #right.-looking #curve, LearnRoom #right.-looking #strip { display: none; }
    LearnRoom #right.-learning #sheet { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "check", "Check photos"),
        Binding("ctrl+l", "learn", "Learn"),
        Binding("ctrl+s", "stop", "Stop"),
        Binding("ctrl+g", "resume", "Resume"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._job: Job | None = None
        self._token_problem = ""
        self._scratch = TemporaryDirectory(prefix="lfsd-tui-", ignore_cleanup_errors=True)

    def body(self) -> ComposeResult:
        """Tree, form and buttons; sheet, notes, curve and previews."""
        with Horizontal():
            with Vertical(id="left"):
                yield FolderTree(str(Path.cwd()), id="tree")
                with Vertical(id="form"):
                    for name, hint in FIELDS.items():
                        with Horizontal():
                            yield Label(name)
                            yield Input(placeholder=hint, id=name, compact=True)
                    yield Tick("keep a small photo of it", id="thumbnail", compact=True)
                    yield Static("", id="verdict", markup=False)
                    with Horizontal(id="buttons"):
                        yield Button("Check", id="check", compact=True)
                        yield Button("Learn", id="learn", compact=True, variant="primary")
                        yield Button("Stop", id="stop", compact=True, variant="warning")
                        yield Button("Resume", id="resume", compact=True)
            with Vertical(id="right", classes="-looking"):
                yield Static("", id="status", markup=False)
                with VerticalScroll(id="notes"):
                    yield Static("", id="notes-text", markup=False)
                yield PictureView(id="sheet")
                yield LossCurve(id="curve")
                with Horizontal(id="strip"):
                    for number in range(STRIP):
                        yield PictureView(id=f"preview-{number}")

    def prepare(self) -> None:
        """The cursor on the folders."""
        self.query_one("#tree").focus()
        self._buttons()

    def on_unmount(self) -> None:
        """The contact sheets of this run are not needed any more."""
        self._scratch.cleanup()

    # ---- the form -----------------------------------------------------------------------------
    @on(DirectoryTree.DirectorySelected)
    def _picked(self, event: DirectoryTree.DirectorySelected) -> None:
        self.query_one("#photos", Input).value = str(event.path)

    @on(Input.Changed)
    def _typed(self) -> None:
        self._check_token(self._value("token"))
        self._buttons()

    @work(thread=True, exclusive=True, group="token")
    def _check_token(self, token: str) -> None:
        """Ask the store what it would say to this token; without one, only its grammar counts."""
        from lfsd.errors import LfsdError, NotFoundError
        from lfsd.words import check_name
        from store.store import Store

        problem = ""
        try:
            if token:
                check_name(token, ())
                with Store.open(self.lfsd.home) as store:
                    store.check_token(token)
        except NotFoundError:
            pass  # the first session makes the store
        except LfsdError as error:
            problem = clean(f"{error.message}: {error.hint}" if error.hint else error.message)
        self.post_message(self.TokenChecked(token, problem))

    @on(TokenChecked)
    def _token_checked(self, message: TokenChecked) -> None:
        if message.token == self._value("token"):
            self._token_problem = message.problem
            self._buttons()

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    @property
    def _photos(self) -> Path:
        return Path(self._value("photos")).expanduser()

    def missing(self) -> str:
        """What is still wrong with the form, "" if nothing is."""
        steps = self._value("steps")
        if not self._value("photos"):
            return HINT
        if not self._photos.is_dir():
            return "photos: there is no such folder"
        if not self._value("token"):
            return "a token: the subject's name from now on, such as V1"
        if self._token_problem:
            return self._token_problem
        if not self._value("class"):
            return "a class: what it is, in one or two words, such as cat"
        if steps and not (steps.isdecimal() and int(steps) > 0):
            return "steps: a number, or nothing for the usual"
        return ""

    def lesson(self) -> Lesson | None:
        """What the form asks for; None as long as something is missing."""
        if self.missing():
            return None
        steps = self._value("steps")
        token, noun = self._value("token"), self._value("class")
        photo = self.query_one("#thumbnail", Checkbox).value
        return Lesson(self._photos, token, noun, int(steps) if steps else None, photo)

    def _buttons(self) -> None:
        missing, job = self.missing(), self._job
        running = job is not None and not job.over
        token = self._value("token")
        self.query_one("#verdict", Static).update(missing or f'"a {token} {self._value("class")}"')
        self.query_one("#check", Button).disabled = bool(missing)
        self.query_one("#learn", Button).disabled = bool(missing) or running
        self.query_one("#stop", Button).disabled = not running
        self.query_one("#resume", Button).disabled = self._resumable() is None

    def _resumable(self) -> Lesson | None:
        """The session to go on with: the one just stopped, else what the form says.

        A checkpoint of an earlier run of the app may be there; the job says so if it is not.
        """
        if self._job is not None and not self._job.over:
            return None
        stopped = self._job is not None and self._job.state is not State.DONE
        about = self._job.about if self._job is not None and stopped else self.lesson()
        return about if isinstance(about, Lesson) else None

    # ---- what the buttons do ------------------------------------------------------------------
    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        name = str(event.button.id)
        {"check": self.action_check, "learn": self.action_learn, "stop": self.action_stop}.get(
            name, self.action_resume
        )()

    @on(Input.Submitted)
    def action_check(self) -> None:
        """Look at the photos: what would be used, and what would not."""
        lesson = self.lesson()
        if lesson is not None:
            self._side("-looking")
            self.lfsd.jobs.submit(lesson.check(Path(self._scratch.name)))

    def action_learn(self) -> None:
        """Begin the session."""
        lesson = self.lesson()
        if lesson is not None and (self._job is None or self._job.over):
            self._begin(lesson)

    def action_stop(self) -> None:
        """Finish the step, write a checkpoint, stop; the second time, at once."""
        if self._job is not None and not self._job.over:
            self.lfsd.jobs.stop(self._job)

    def action_resume(self) -> None:
        """Go on from the checkpoint."""
        lesson = self._resumable()
        if lesson is not None:
            self._begin(replace(lesson, resume=True))

    def _begin(self, lesson: Lesson) -> None:
        before = self._job.losses if self._job is not None and lesson.resume else []
        self._job = lesson.job()
        self._job.losses.extend(before)
        self._side("-learning")
        self.lfsd.jobs.submit(self._job)

    def _side(self, name: str) -> None:
        self.query_one("#right").set_classes(name)

    # ---- what comes back ----------------------------------------------------------------------
    def job_changed(self, job: Job) -> None:
        """The photos' check, or the session."""
        if not isinstance(job.about, Lesson):
            return
        if job.about.dry_run:
            self._checked(job)
        elif job is self._job:
            self._learning(job)
        self._buttons()

    def _checked(self, job: Job) -> None:
        self.query_one("#status", Static).update(job.error or job.headline)
        if job.state is not State.DONE:
            return
        used, refused = job.document["photos_used"], job.document["photos_refused"]
        self.query_one("#status", Static).update(
            f"{len(used)} photos would be used, {len(refused)} refused. Upper rows: the crops; "
            "lower rows: what is taken for the subject."
        )
        notes = [f"✗ {clean(r['file'])}: {clean(r['reason'])}" for r in refused]
        notes += [f"! {clean(text)}" for text in job.document["warnings"]]
        self.query_one("#notes-text", Static).update("\n".join(notes))
        sheet = self.query_one("#sheet", PictureView)
        sheet.show(None)  # the same file name may hold another sheet by now
        sheet.show(Path(job.document["contact_sheet"]))

    def _learning(self, job: Job) -> None:
        lines = [job.headline]
        if job.state is State.RUNNING and job.seconds_left:
            lines.append(f"about {human_seconds(job.seconds_left)} left")
        lines += [job.error] if job.error else []
        if job.state is State.DONE:
            session = job.document["session"]
            lines.append(f"session {session['number']} is committed; F4 draws it")
            self.query_one("#thumbnail", Checkbox).value = False  # asked for anew each time
        self.query_one("#status", Static).update("\n".join(lines))
        self.query_one("#notes-text", Static).update("\n".join(job.notes))
        self.query_one("#curve", LossCurve).show(job.losses)
        for number, path in enumerate(job.previews[-STRIP:]):
            self.query_one(f"#preview-{number}", PictureView).show(path)


ROOM = LearnRoom
