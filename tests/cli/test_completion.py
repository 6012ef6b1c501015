"""Shell completion: the program as a shell calls it, in a fresh interpreter, without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from store.store import Store
from tests.cli.conftest import BASE

ROOT = Path(__file__).parents[2]
PROBE = """
import sys
from lfsd_cli.main import main
try:
    main([])
finally:
    heavy = {"torch", "textual", "diffusers"} & {name.split(".")[0] for name in sys.modules}
    assert not heavy, heavy
"""


def complete(words: str) -> list[str]:
    """What bash would be told for these words, the last one incomplete."""
    ran = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "_LFSD_COMPLETE": "complete_bash", "COMP_WORDS": words,
             "COMP_CWORD": str(len(words.split(" ")) - 1)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lfsd show ", ["V1", "V2"]),
        ("lfsd rm ", ["V1", "V2"]),
        ("lfsd rename V2", ["V2"]),
        ("lfsd export V1 ", ["V1", "V2"]),
        ("lfsd goto ", ["0", "1", "2"]),
        ("lfsd gen cat --as-of ", ["0", "1", "2"]),
    ],
)
def test_tokens_and_sessions(learned: Path, words: str, expected: list[str]) -> None:
    assert complete(words) == expected


def test_another_home_and_none(learned: Path, tmp_path: Path) -> None:
    Store.create(tmp_path / "other", BASE).close()
    assert complete(f"lfsd --home {tmp_path}/other show ") == []
    assert complete(f"lfsd --home {tmp_path}/nowhere show ") == []
