"""Report: every concept after every session, and the pictures behind each figure."""

from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from lfsd_cli.tui.data import ConceptRow, SessionRow, Snapshot
from lfsd_cli.tui.drawing import Drawing
from lfsd_cli.tui.heatmap import HeatMap, Matrix
from lfsd_cli.tui.job import Job, State
from lfsd_cli.tui.room import Room
from lfsd_cli.tui.screens.confirm import AskScreen
from lfsd_cli.tui.screens.sessions import about

STORED = "Fidelity as measured at the end of each session (quick). m measures anew."
MEASURED = "Fidelity of each concept after each session, measured now."
NOTHING = "Nothing has been measured yet: learn two subjects, then look here again."
# What the method measures with (see `plan` in a report): the same seeds give the same pictures.
PLAN: dict[str, Any] = {
    "seed": 1000, "steps": 8, "guidance": 5.0, "guidance_fraction": None, "context_blend": 0.0,
    "pictures": 2,
}  # fmt: skip


class ReportRoom(Room):
    """The matrix above, what its cursor stands on below."""

    NAME = "report"
    DEFAULT_CSS = """
    ReportRoom #what { height: auto; padding: 0 1; color: $text-muted; }
    ReportRoom #heat { height: 1fr; margin: 0 1; }
    ReportRoom #below { height: 9; padding: 0 1; border-top: solid $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "measure(True)", "Measure"),
        Binding("M", "measure(False)", "Measure fully", key_display="M"),
        Binding("h", "page", "HTML page"),
        Binding("x", "stop", "Stop", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._measured: dict[str, Any] = {}

    def body(self) -> ComposeResult:
        """Title, matrix, the cell in words."""
        with Vertical():
            yield Static(STORED, id="what", markup=False)
            yield HeatMap(id="heat")
            with VerticalScroll(id="below"):
                yield Static("", id="cell", markup=False)

    def prepare(self) -> None:
        """The cursor on the matrix."""
        self._heat.focus()

    @property
    def _heat(self) -> HeatMap:
        return self.query_one("#heat", HeatMap)

    def store_read(self, snapshot: Snapshot) -> None:
        """Show what is stored; a fresh measurement of this very state goes before it."""
        head = snapshot.head
        fresh = bool(self._measured) and head is not None and self._measured["head"] == head.id
        matrix = measured(self._measured["report"]) if fresh else stored(snapshot)
        empty = snapshot.problem or NOTHING
        text = (MEASURED if fresh else STORED) if matrix.sessions else empty
        self.query_one("#what", Static).update(text)
        self._heat.show(matrix)
        self._tell_cell()

    @on(HeatMap.Moved)
    def _tell_cell(self) -> None:
        heat, matrix = self._heat, self._heat.matrix
        concept, session = self._place()
        lines = []
        if concept is not None and heat.value is not None:
            then = matrix.first[heat.column]
            share = f", {heat.value / then:.0%} of {then:.3f} at first" if then else ""
            lines.append(f"{concept.words} after session {matrix.sessions[heat.row]}: ")
            lines[0] += f"{heat.value:.3f}{share}. Enter draws the pictures behind it."
        if session is not None:
            lines += ["", about(session)]
        self.query_one("#cell", Static).update("\n".join(lines))

    def _place(self) -> tuple[ConceptRow | None, SessionRow | None]:
        """The concept and the session under the cursor."""
        heat, matrix = self._heat, self._heat.matrix
        if not matrix.sessions or not matrix.tokens:
            return None, None
        number = matrix.sessions[heat.row]
        line = (row for row in self.snapshot.sessions if row.on_line and row.number == number)
        return self.snapshot.concept(matrix.tokens[heat.column]), next(line, None)

    @on(HeatMap.Chosen)
    def _draw(self) -> None:
        """The pictures that were measured: the same model, prompt, seeds and settings."""
        concept, session = self._place()
        if concept is None or session is None:
            return
        plan = PLAN | (self._measured.get("report", {}).get("plan") or {})
        drawing = Drawing(
            f"a photo of a {concept.words}",
            n=int(plan["pictures"]),
            seed=int(plan["seed"]),
            steps=int(plan["steps"]),
            guidance=float(plan["guidance"]),
            guidance_fraction=plan["guidance_fraction"],
            context_blend=float(plan["context_blend"]),
            as_of=session.id,
        )
        self.lfsd.draw("")
        self.lfsd.jobs.submit(drawing.job(self.lfsd.pictures))

    # ---- measuring ----------------------------------------------------------------------------
    def action_measure(self, quick: bool) -> None:
        """Measure the store as it stands; quickly (the head alone), or all of its sessions."""
        head = self.snapshot.head
        if head is not None and self.snapshot.concepts:
            words = ["report", "--log-json", *(["--quick"] if quick else [])]
            title = "measuring" if quick else "measuring every session"
            self.lfsd.jobs.submit(Job(title, words, about=head.id))

    def action_page(self) -> None:
        """Measure and write one page for a browser."""

        def named(name: str | None) -> None:
            head = self.snapshot.head
            if name and head is not None:
                path = str(Path(name).expanduser().absolute())
                words = ["report", "--log-json", f"--html={path}"]
                self.lfsd.jobs.submit(Job("writing the report", words, about=head.id))

        question = "Measure every session and write a page to which file?"
        self.app.push_screen(AskScreen(question, "lfsd-report.html"), named)

    def action_stop(self) -> None:
        """Stop measuring."""
        running = self.lfsd.jobs.running
        if running is not None and running.verb == "report":
            self.lfsd.jobs.stop(running)

    def job_changed(self, job: Job) -> None:
        """Progress, a matrix, or what went wrong."""
        if job.verb != "report":
            return
        if job.state is not State.DONE:
            text = job.error if job.state is State.FAILED else job.headline
            self.query_one("#what", Static).update(text)
            return
        report = job.document["report"]
        if len(report["matrix"]["sessions"]) > 1 or not self._heat.matrix.sessions:
            self._measured = {"report": report, "head": job.about}
        self.store_read(self.snapshot)
        page = job.document.get("html")
        if page:
            self.notify(str(page), title="report written", markup=False, timeout=12)
        elif len(report["matrix"]["sessions"]) == 1:
            self.query_one("#what", Static).update(_line(report))


def stored(snapshot: Snapshot) -> Matrix:
    """The matrix of what the sessions measured as they ended."""
    found = snapshot.trends
    rows = tuple(
        tuple(found.cell(row.id, number) for row in snapshot.concepts) for number in found.sessions
    )
    return Matrix.of(found.sessions, tuple(row.token for row in snapshot.concepts), rows)


def measured(report: dict[str, Any]) -> Matrix:
    """The matrix of a report's document."""
    matrix = report["matrix"]
    rows = tuple(tuple(row) for row in matrix["fidelity"])
    return Matrix.of(tuple(matrix["sessions"]), tuple(matrix["concepts"]), rows)


def _line(report: dict[str, Any]) -> str:
    """A quick measurement in a line or two: figure and change of each concept now."""
    pcf = report.get("pcf", {})
    parts = []
    for token, value in report["fidelity"].items():
        change = pcf.get(token, {}).get("change")
        parts.append(f"{token} {value:.3f}" + ("" if change is None else f" ({change:+.3f})"))
    return "measured now: " + ", ".join(parts)


ROOM = ReportRoom
