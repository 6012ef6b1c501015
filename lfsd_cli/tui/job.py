"""Long work as a subprocess of our own CLI: its event lines become messages and a job's state.

A crash of the model's libraries ends the subprocess, not the screen.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Any

from textual.message import Message
from textual.message_pump import MessagePump

from lfsd_cli.errors import ExitCode
from lfsd_cli.progress import STAGES
from lfsd_cli.text import clean

ROOT = Path(__file__).parents[2]
# A line of events is short; the one document a job prints may be long.
_LINE_LIMIT = 1 << 24


class State(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(eq=False)
class Job:
    """One command line of ours and what has become of it.

    `quick` ones need no model and run at once; the others wait for each other. `about` is for
    whoever submitted it.
    """

    title: str
    words: Sequence[str]
    quick: bool = False
    folder: Path | None = None
    about: object = None
    state: State = State.QUEUED
    stage: str = ""
    step: int = 0
    total: int = 0
    seconds_left: float = 0.0
    losses: list[tuple[float, float]] = field(default_factory=list)
    previews: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contact_sheet: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    stopping: bool = False
    left_alone: bool = False
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in (State.DONE, State.FAILED, State.STOPPED)

    @property
    def verb(self) -> str:
        """The command's name."""
        return self.words[0]

    @property
    def headline(self) -> str:
        """One line: what it does and how far it is."""
        if self.state is not State.RUNNING:
            return f"{self.title} · {self.state.value}"
        if self.stopping:
            return f"{self.title} · stopping after this step"
        if self.total:
            return f"{self.title} · {self.stage} {self.step}/{self.total}"
        return f"{self.title} · {self.stage or 'starting'}"

    def stop(self) -> None:
        """Ask it to stop: `learn` writes a checkpoint first. Asked again, it stops at once."""
        if self.state is State.QUEUED:
            self.state = State.STOPPED
        elif self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.stopping = True

    def hear(self, event: dict[str, Any]) -> None:
        """Take in one line of `--log-json`."""
        match event.get("event"):
            case "stage":
                name = str(event.get("name", ""))
                self.stage, self.step, self.total = STAGES.get(name, clean(name)), 0, 0
            case "step" | "sampling" as kind:
                self.step, self.total = int(event["step"]), int(event["total"])
                if kind == "step":
                    self.losses.append((float(event["loss_dm"]), float(event["loss_kd"])))
                    self.seconds_left = float(event["seconds_left"])
            case "preview":
                self.previews.append(Path(event["path"]))
            case "contact_sheet":
                self.contact_sheet = Path(event["path"])
            case "photo_refused" | "photo_warning":
                text = event.get("reason", event.get("text", ""))
                self.notes.append(clean(f"{event.get('file', '')}: {text}"))
            case "notice" | "warning":
                self.notes.append(clean(event.get("text", "")))

    def end(self, code: int, printed: bytes, last: dict[str, Any]) -> None:
        """Take in how it ended: the document it printed, or the last line it wrote."""
        self.document = _parse(printed.decode("utf-8", "replace"))
        if code in (ExitCode.OK, ExitCode.PARTLY) and self.document:
            self.state = State.DONE
            return
        failure = last.get("error")
        if isinstance(failure, dict):
            text = f"{failure.get('message', '')}\n{failure.get('hint', '')}".strip()
            self.error = "\n".join(clean(line) for line in text.splitlines())
        else:
            said = clean(last.get("said", "it said nothing"))
            self.error = f"the job ended with exit code {code}: {said}"
        asked = code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED) or self.stopping
        self.state = State.STOPPED if asked else State.FAILED


class Changed(Message):
    """Something happened to a job; its state says what."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


async def run(job: Job, home: Path, sink: MessagePump) -> None:
    """Run a job to its end, posting `Changed` to `sink` at every line of its events."""
    if job.over:
        return
    job.process = _start(job, home)
    job.state = State.RUNNING
    sink.post_message(Changed(job))
    try:
        assert job.process.stdout is not None and job.process.stderr is not None
        printed, last = await asyncio.gather(
            _all(job.process.stdout), _follow(job, job.process.stderr, sink)
        )
        # Both streams have ended, so this is a matter of moments; still, not on the screen's time.
        code = await asyncio.to_thread(job.process.wait)
    except asyncio.CancelledError:
        if not job.left_alone:
            job.process.kill()
            job.process.wait()
        raise
    job.end(code, printed, last)
    sink.post_message(Changed(job))


def _start(job: Job, home: Path) -> "subprocess.Popen[bytes]":
    common = ["--home", str(home.absolute()), "--json"]
    words = [*common, *job.words]
    # Found again from whatever folder the job works in; a session of its own, so that neither
    # the screen's Ctrl-C nor a closed terminal reaches it.
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "lfsd_cli", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=job.folder,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


async def _reader(pipe: IO[bytes]) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, transport


async def _all(pipe: IO[bytes]) -> bytes:
    reader, transport = await _reader(pipe)
    try:
        return await reader.read()
    finally:
        transport.close()


async def _follow(job: Job, pipe: IO[bytes], sink: MessagePump) -> dict[str, Any]:
    """Hear each event line; returns the last line, which is the error if the job failed."""
    reader, transport = await _reader(pipe)
    last: dict[str, Any] = {}
    try:
        async for raw in reader:
            line = raw.decode("utf-8", "replace").strip()
            parsed = _parse(line)
            last = parsed or ({"said": line} if line else last)
            if "event" in parsed:
                job.hear(parsed)
                sink.post_message(Changed(job))
    finally:
        transport.close()
    return last


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
