"""What a command loads: the quick ones must not pay for torch; checked in fresh interpreters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "textual"}
PROBE = """
import json, sys
from lfsd_cli.main import main
code = main(json.loads(sys.argv[1]))
sys.stdout.flush()
print(json.dumps({"code": code, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def loaded_by(words: list[str], folder: Path) -> tuple[int, set[str]]:
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(words)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(ran.stdout.splitlines()[-1])
    return found["code"], set(found["modules"])


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["learn", "--help"],
        ["ls"],
        ["ls", "--json"],
        ["show", "V1"],
        ["log"],
        ["undo"],
        ["rm", "V1"],
        ["goto", "1"],
        ["export", "V1"],
        ["store", "info"],
        ["store", "verify", "--data"],
        ["store", "compact"],
        ["ls", "--nonsense"],
    ],
)
def test_quick_commands_load_nothing_heavy(learned: Path, tmp_path: Path, words: list[str]) -> None:
    code, modules = loaded_by(words, tmp_path)
    assert code == (2 if "--nonsense" in words else 0)
    assert not modules & HEAVY


def test_the_probe_would_notice(learned: Path, tmp_path: Path) -> None:
    """The same probe on a command that needs the model must see torch, or it tests nothing."""
    _, modules = loaded_by(["gen", "a cat", "--steps", "1"], tmp_path)
    assert "torch" in modules


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("store", HEAVY | {"typer", "rich", "PIL", "lfsd", "lfsd_cli"}),
        ("lfsd", {"typer", "rich", "textual", "lfsd_cli", "torch"}),
    ],
)
def test_packages_look_downwards_only(package: str, never: set[str]) -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / package).glob("*.py"))
        if package == "store" or path.stem in {"__init__", "errors", "events", "settings"}
    ]
    script = f"import sys, importlib\nfor n in {names!r}: importlib.import_module(n)\n"
    script += "print(' '.join({n.split('.')[0] for n in sys.modules}))"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(ran.stdout.split()) & never


@pytest.mark.parametrize(
    ("before", "after"), [([], []), (["--json"], []), (["--home", "ls"], []), ([], ["-q"])]
)
def test_a_command_is_found_between_the_options_and_loads_no_other(
    run: Run, before: list[str], after: list[str]
) -> None:
    """A folder that is called like a verb is none, and `lfsd log` does not import `lfsd learn`."""
    told = run(*before, "log", *after)
    assert told.code == 4 and "there is no store" in told.err
    code = (
        "import sys; from lfsd_cli.main import main; main(sys.argv[1:]);"
        "print([m for m in sys.modules if m.startswith('lfsd_cli.commands.')])"
    )
    words = [*before, "log", *after]
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "['lfsd_cli.commands.log']"


def test_help_before_a_command_lists_them_all(run: Run) -> None:
    for words in (["--help", "ls"], ["-h", "ls"]):
        assert "Teach the model a new subject" in run(*words).out


def test_the_store_is_not_imported_for_its_errors() -> None:
    code = "import sys, store.errors; print([m for m in sys.modules if m in ('lmdb', 'msgspec')])"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
