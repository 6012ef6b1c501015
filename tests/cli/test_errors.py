"""Bad input and failures: one line, one hint, the right exit code, nothing changed."""

import errno
import json
import os
from pathlib import Path

import pytest

from lfsd.errors import (
    BaseMismatchError,
    BaseUnavailableError,
    InterruptedLearning,
    LfsdError,
    NotFoundError,
    PhotosRefusedError,
    ResourceError,
    StoreBusyError,
    StoreCorruptError,
    UsageError,
)
from lfsd_cli.context import Globals
from lfsd_cli.errors import ExitCode, describe
from lfsd_cli.main import main
from lfsd_cli.settings import settings_from
from lfsd_cli.text import clean, human_bytes, human_seconds, to_json
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LfsdError("m", "h"), 1),
        (UsageError("m", "h"), 2),
        (BaseMismatchError("m", "h"), 2),
        (PhotosRefusedError("m", "h"), 3),
        (NotFoundError("m", "h"), 4),
        (StoreBusyError("m", "h"), 5),
        (StoreCorruptError("m", "h"), 6),
        (ResourceError("m", "h"), 7),
        (BaseUnavailableError("m", "h"), 8),
        (InterruptedLearning("m", "h"), 130),
    ],
)
def test_each_error_class_has_its_code(error: LfsdError, code: int) -> None:
    failure = describe(error)
    assert failure.exit_code == code
    assert (failure.message, failure.hint) == ("m", "h")
    assert failure.to_dict()["error"]["type"] == type(error).__name__


def test_every_error_class_of_the_core_is_covered() -> None:
    """A new subclass of the root must end in a code of its own or its parent's, never in 1."""

    def below(cls: type[LfsdError]) -> set[type[LfsdError]]:
        return {cls}.union(*(below(sub) for sub in cls.__subclasses__()))

    for cls in below(LfsdError) - {LfsdError}:
        if cls.__module__.startswith(("store.errors", "lfsd.errors")):
            assert describe(cls("m")).exit_code is not ExitCode.FAILED, cls


def test_a_subclass_takes_its_parents_code() -> None:
    class OddStoreError(StoreCorruptError):
        pass

    assert describe(OddStoreError("m")).exit_code == 6


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (MemoryError(), 7),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 7),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 2),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), 2),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x/y"), 2),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"), 7),
        (RuntimeError("something else"), 1),
    ],
)
def test_other_exceptions(error: BaseException, code: int) -> None:
    assert describe(error).exit_code == code


def test_torch_out_of_memory() -> None:
    import torch

    failure = describe(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nx"))
    assert failure.exit_code == 7 and "\n" not in failure.message


def test_a_message_names_the_file() -> None:
    failure = describe(OSError(errno.ENOSPC, "No space left on device", "/x/y"))
    assert failure.message == "/x/y: No space left on device"


@pytest.mark.parametrize(
    "words",
    [
        ["lear"],
        ["ls", "--nonsense"],
        ["gen"],
        ["gen", "a cat", "-n", "0"],
        ["gen", "a cat", "--seed", "x"],
        ["learn", "photos", "--class", "cat"],
        ["goto"],
    ],
)
def test_bad_command_lines(run: Run, words: list[str]) -> None:
    ran = run(*words)
    assert ran.code == 2 and ran.out == "" and "Traceback" not in ran.err
    assert ran.err.startswith("lfsd: error: ") and "--help" in ran.err
    in_json = run(*words, "--json")
    assert in_json.code == 2 and in_json.error["exit_code"] == 2


def test_a_mistyped_verb_is_suggested(run: Run) -> None:
    assert "'learn'" in run("lear").err


def test_debug_shows_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in run("ls").err
    monkeypatch.setenv("LFSD_DEBUG", "1")
    assert "Traceback" in run("ls").err


def test_an_unforeseen_error_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from store.store import Store

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("second\nline")

    monkeypatch.setattr(Store, "open", broken)
    ran = run("ls")
    assert ran.code == 1
    assert ran.err.splitlines()[0] == "lfsd: error: ZeroDivisionError: second"
    assert "LFSD_DEBUG=1" in ran.err


def test_a_closed_pipe_is_no_failure(learned: Path) -> None:
    """`lfsd ls | true` in a real shell, where the reader has gone."""
    import subprocess
    import sys

    root = Path(__file__).parents[2]
    script = f"{sys.executable} -m lfsd_cli log --json; echo code $? >&2"
    ran = subprocess.run(
        ["bash", "-c", f"set -o pipefail; ({script}) | true"],
        cwd=root, env={**os.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr and "Exception" not in ran.stderr
    assert "code 0" in ran.stderr


def test_secondary_processes_say_nothing(
    run: Run, learned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `accelerate launch` only the first process prints."""
    monkeypatch.setenv("RANK", "1")
    ran = run("ls")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_home_is_the_option_then_the_variable_then_the_platforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfsd_cli.context import default_home

    monkeypatch.setenv("LFSD_HOME", str(tmp_path / "named"))
    assert default_home() == tmp_path / "named"
    monkeypatch.delenv("LFSD_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_home() in {tmp_path / "data" / "lfsd", default_home()}
    assert default_home().name == "lfsd"


def test_globals_merge_never_loses_a_flag() -> None:
    state = Globals()
    state.merge({"json_mode": True})
    state.merge({"json_mode": False, "quiet": False})
    assert state.output.mode.value == "json"


# ---- --set ------------------------------------------------------------------------------------
def test_set_changes_any_setting() -> None:
    settings = settings_from(
        {"steps": 7, "seed": None}, ["icgen=canvas", "distill_weight=2.5", 'targets=["attn1"]']
    )
    assert (settings.steps, settings.icgen) == (7, "canvas")
    assert (settings.distill_weight, settings.targets) == (2.5, ("attn1",))


@pytest.mark.parametrize("pair", ["rnk=3", "rank", "rank=many", "icgen=sideways", "steps=0"])
def test_a_bad_setting_is_usage(pair: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from({}, [pair])
    assert pair.split("=")[0] in caught.value.message


def test_a_mistyped_setting_is_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        settings_from({}, ["distil_weight=1"])
    assert "distill_weight" in caught.value.hint


# ---- text -------------------------------------------------------------------------------------
def test_clean_escapes_what_drives_a_terminal() -> None:
    assert clean("a\x1b[2Jb\x9bc\nd\u202ee") == "a\\x1b[2Jb\\x9bc\\nd\\u202ee"
    assert clean("Käthe's 猫.jpg") == "Käthe's 猫.jpg"


def test_json_is_always_valid_and_harmless() -> None:
    text = to_json({"bad": float("nan"), "name": "x\x9b\udcff", "n": [float("inf"), 1.5]})
    assert json.loads(text)["n"] == [None, 1.5] and json.loads(text)["bad"] is None
    assert text.isprintable()
    text.encode()


def test_human_numbers() -> None:
    assert [human_bytes(n) for n in (0, 999, 1500, 12_300_000)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "12 MB",
    ]
    assert [human_seconds(s) for s in (8.2, 92, 7500)] == ["8 s", "1 min 32 s", "2 h 05 min"]


def test_main_never_raises(learned: Path) -> None:
    assert main(["ls", "--at", "\x00"]) in {2, 4}
