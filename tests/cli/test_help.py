"""Every command explains itself: examples and exit statuses, options the same everywhere."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from lfsd_cli import manual
from lfsd_cli.errors import MEANING, ExitCode
from lfsd_cli.main import build
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]


def _commands() -> dict[str, Any]:
    """Every command by the words that name it, those of groups too: `store verify`."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(build()).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        found |= {name: command} if below is None else {f"{name} {n}": c for n, c in below.items()}
    return found


VERBS = list(_commands())


def test_the_verbs_are_those_of_the_contract() -> None:
    assert set(VERBS) == {
        "init", "learn", "gen", "ls", "show", "log", "rm", "rename", "undo", "goto", "export",
        "report", "demo", "tui", "doctor", "store path", "store info", "store verify",
        "store compact", "store unlock", "store backup", "store restore", "store gc",
        "store repair", "store migrate",
    }  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_examples_and_exit_status(run: Run, verb: str) -> None:
    ran = run(*verb.split(), "--help")
    assert ran.code == 0
    examples = ran.out.split("EXAMPLES")[1].split("EXIT STATUS")[0]
    assert f"lfsd {verb}" in examples
    listed = {int(n) for n in re.findall(r"^\s+(\d+)\s+\w", ran.out.split("EXIT STATUS")[1], re.M)}
    assert {0, 2} <= listed <= {int(code) for code in ExitCode}
    for option in ("--home", "--json", "--quiet", "--verbose"):
        assert option in ran.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_and_argument_has_help(verb: str) -> None:
    for parameter in _commands()[verb].params:
        assert parameter.help, f"lfsd {verb}: {parameter.name}"


def test_the_examples_parse(run: Run) -> None:
    """An example that names an option which does not exist must not be in the help."""
    for verb, command in _commands().items():
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        examples = run(*verb.split(), "--help").out.split("EXAMPLES")[1].split("EXIT STATUS")[0]
        for line in examples.splitlines():
            if f"lfsd {verb}" in line:
                typed = line.split(f"lfsd {verb}")[1].split("    ")[0]
                used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", typed))
                assert used <= known, f"{line.strip()}: {used - known}"


def test_the_page_of_commands_is_what_help_says() -> None:
    written = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert written == manual.page(), "run: make docs/commands.md"
    for verb in VERBS:
        assert f"## lfsd {verb}\n" in written


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for verb in VERBS:
        short = verb.removeprefix("store ")  # in its table one row names several
        assert f"lfsd {verb}" in readme or f"`{short}`" in readme, f"README: lfsd {verb}"


def test_every_exit_code_has_a_meaning(run: Run) -> None:
    assert set(MEANING) == set(ExitCode)
    assert "EXIT STATUS" in run("--help").out


def test_no_arguments_shows_the_help_and_is_usage(run: Run) -> None:
    ran = run()
    assert ran.code == 2 and "Usage: lfsd" in ran.err and ran.out == ""


def test_version(run: Run) -> None:
    ran = run("--version")
    assert ran.code == 0 and re.fullmatch(r"lfsd \d+\.\d+\.\d+\n", ran.out)


def test_python_dash_m() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "lfsd_cli", "--version"],
        cwd=__file__.rsplit("/tests/", 1)[0], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0 and ran.stdout.startswith("lfsd ")
