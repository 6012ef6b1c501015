"""Long work as a subprocess of our own CLI: its event lines become Textual messages.

A crash of the model's libraries ends the subprocess, not the screen.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from textual.message import Message
from textual.widget import Widget

from lfsd_cli.text import clean


class Progress(Message):
    """A step of the running job is done."""

    def __init__(self, step: int, total: int) -> None:
        super().__init__()
        self.step = step
        self.total = total


class Remark(Message):
    """The job has something to say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Finished(Message):
    """The job is done; `document` is the JSON it printed."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        self.document = document


class Failed(Message):
    """The job failed; `text` is what happened and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


async def generate(sink: Widget, home: Path, prompt: str, out: Path) -> None:
    """Run `lfsd gen` and post its messages to `sink`; ends the process if it is cancelled."""
    words = ["--home", str(home), "--json", "gen", "--log-json", "--out", str(out), "--", prompt]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lfsd_cli",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        printed, last = await asyncio.gather(process.stdout.read(), _follow(sink, process.stderr))
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        raise
    sink.post_message(_outcome(code, printed, last))


async def _follow(sink: Widget, stream: asyncio.StreamReader) -> dict[str, Any]:
    """Post each event line; returns the last one, which is the error if the job failed."""
    last: dict[str, Any] = {}
    async for raw in stream:
        line = raw.decode("utf-8", "replace").strip()
        last = _parse(line) or ({"said": line} if line else last)
        if last.get("event") == "sampling":
            sink.post_message(Progress(last["step"], last["total"]))
        elif last.get("event") in {"notice", "warning"}:
            sink.post_message(Remark(str(last.get("text", ""))))
    return last


def _outcome(code: int, printed: bytes, last: dict[str, Any]) -> Message:
    document = _parse(printed.decode("utf-8", "replace"))
    if code == 0 and document:
        return Finished(document)
    error = last.get("error")
    if error:
        return Failed(f"{error['message']}\n{error['hint']}".strip())
    return Failed(f"the job ended with exit code {code}: {clean(last.get('said', 'no message'))}")


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
