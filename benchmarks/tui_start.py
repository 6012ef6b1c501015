"""What the terminal app costs to start, beside an empty Textual app.

    python -m benchmarks.tui_start [--concepts 1000] [--rounds 5] [--folder DIR]

Each start is a process of its own, without a terminal, the two apps in turn, the best of several
rounds, in seconds of processor time (so that a busy machine does not matter) from the beginning of
the process to its first paint: the first frame of the first screen. "filled" is the moment when the
concepts are on it. The store is filled as `benchmarks.store_scale` does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.store_scale import filled

SIZE = (140, 45)


def empty() -> None:
    """An app as small as Textual allows that still shows something."""
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    class Empty(App[None]):
        def compose(self) -> ComposeResult:
            yield Static("hello")

        def on_mount(self) -> None:
            self.call_after_refresh(self.painted)

        def painted(self) -> None:
            tell("paint")
            self.exit()

    Empty().run(headless=True, size=SIZE)


def ours(home: str) -> None:
    """`lfsd tui` by the way its command goes, but for the terminal."""
    from textual.app import App
    from textual.widgets import DataTable

    from lfsd_cli.main import entry
    from lfsd_cli.tui.app import LfsdApp

    def run(app: LfsdApp) -> None:
        def painted() -> None:
            tell("paint")
            wait_for_concepts()

        def wait_for_concepts() -> None:
            if app.screen.query_one("#concepts", DataTable).row_count:
                tell("filled")
                app.exit()
            else:
                app.set_timer(0.01, wait_for_concepts)

        app.call_later(lambda: app.screen.call_after_refresh(painted))
        App.run(app, headless=True, size=SIZE)

    LfsdApp.run = run  # type: ignore[assignment,method-assign]
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.isatty = lambda: True  # type: ignore[method-assign]
    os.environ["LFSD_PREVIEW"] = "half"  # there is no terminal to ask
    sys.argv = ["lfsd", "tui", "--home", home]
    entry()


def tell(moment: str) -> None:
    """Print the processor time this process has used until now."""
    print(moment, time.process_time(), flush=True)


def start(*words: str) -> dict[str, float]:
    """Start one of the apps in a process; returns its moments."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tui_start", *words],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines = (line.split() for line in done.stdout.splitlines())
    return {words[0]: float(words[1]) for words in lines if len(words) == 2}


def main() -> None:
    """Start both in turn and print the best of each."""
    if sys.argv[1:2] == ["--empty"]:
        return empty()
    if sys.argv[1:2] == ["--ours"]:
        return ours(sys.argv[2])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--concepts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = filled(asked.folder or Path(scratch), asked.concepts)
        starts = [(start("--empty"), start("--ours", str(home))) for _ in range(asked.rounds)]
    least = min(found["paint"] for found, _ in starts)
    for moment in ("paint", "filled"):
        seconds = min(found[moment] for _, found in starts)
        print(
            f"{moment:7} {seconds:.3f} s   {seconds / least:.2f}x of an empty app ({least:.3f} s)"
        )


if __name__ == "__main__":
    main()
