"""A run on disk: one safetensors file per session, and one JSON line once that file is safe."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from lfsd.errors import UsageError

LINES, ABOUT = "sessions.jsonl", "about.json"


class Journal:
    """One method with one seed, in its own folder. A run that was killed goes on after its last
    line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, about: dict[str, Any]) -> None:
        """Begin, or go on. UsageError if the folder's lines were made under other conditions."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / ABOUT
        about = json.loads(json.dumps(about))
        if not path.is_file():
            _write(path, json.dumps(about, indent=1, sort_keys=True).encode())
        found = json.loads(path.read_text(encoding="utf-8"))
        for key, value in about.items():
            if found.get(key) != value:
                raise UsageError(f"{self.folder} was run with another {key}", "use another --out")
        whole = self._whole_lines()
        if (self.folder / LINES).is_file():
            # a line cut short by a kill is written again, not continued
            _write(self.folder / LINES, "".join(whole).encode())

    def lines(self) -> list[dict[str, Any]]:
        """What was measured so far, session by session."""
        return [json.loads(line) for line in self._whole_lines()]

    def _whole_lines(self) -> list[str]:
        path = self.folder / LINES
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n")]

    def add(self, number: int, line: dict[str, Any], state: dict[str, np.ndarray]) -> None:
        """Put the session's state on disk, then its line."""
        _write(self._state(number), save({k: np.ascontiguousarray(v) for k, v in state.items()}))
        with (self.folder / LINES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def state(self, number: int) -> dict[str, np.ndarray]:
        """A session's state."""
        return load_file(self._state(number))

    def _state(self, number: int) -> Path:
        return self.folder / f"session-{number:02d}.safetensors"


def _write(path: Path, data: bytes) -> None:
    waiting = path.with_name(path.name + ".tmp")
    with waiting.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    waiting.replace(path)
    if os.name != "nt":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
