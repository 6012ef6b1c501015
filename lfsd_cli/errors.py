"""Every way a command can end: one enum of exit codes, one mapping from exceptions."""

import errno
import os
import sys
from dataclasses import dataclass
from enum import IntEnum

import typer


class ExitCode(IntEnum):
    """What the process answers; scripts may rely on these numbers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTLY = 3
    NOT_FOUND = 4
    BUSY = 5
    CORRUPT = 6
    RESOURCE = 7
    MODEL = 8
    INTERRUPTED = 130
    TERMINATED = 143


MEANING: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "something went wrong that is not listed below",
    ExitCode.USAGE: "wrong usage: bad option, bad or taken token, no usable photo, another base",
    ExitCode.PARTLY: "done, but photos were refused and --strict was given",
    ExitCode.NOT_FOUND: "no such concept, session or store",
    ExitCode.BUSY: "another process is writing to the store",
    ExitCode.CORRUPT: "the store is damaged",
    ExitCode.RESOURCE: "out of disk space or memory",
    ExitCode.MODEL: "the base model could not be had",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
    ExitCode.TERMINATED: "terminated (SIGTERM)",
}

# How a command that writes to the store, and needs no model, can end.
UPKEEP_EXITS = [
    ExitCode.OK,
    ExitCode.USAGE,
    ExitCode.NOT_FOUND,
    ExitCode.BUSY,
    ExitCode.CORRUPT,
    ExitCode.RESOURCE,
]

# By name, so that the mapping needs no import of the packages below; the whole method resolution
# order is searched, most specific class first.
_CODE_OF_CLASS: dict[str, ExitCode] = {
    "UsageError": ExitCode.USAGE,
    "BaseMismatchError": ExitCode.USAGE,
    "PhotosRefusedError": ExitCode.PARTLY,
    "NotFoundError": ExitCode.NOT_FOUND,
    "StoreBusyError": ExitCode.BUSY,
    "StoreCorruptError": ExitCode.CORRUPT,
    "ResourceError": ExitCode.RESOURCE,
    "BaseUnavailableError": ExitCode.MODEL,
    "InterruptedLearning": ExitCode.INTERRUPTED,
}

_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Failure:
    """One failure as it is shown: what happened, what to do next, how the process ends."""

    type: str
    message: str
    hint: str
    exit_code: ExitCode

    def to_dict(self) -> dict[str, dict[str, str | int]]:
        """The document printed on stderr in JSON mode."""
        return {
            "error": {
                "type": self.type,
                "message": self.message,
                "hint": self.hint,
                "exit_code": int(self.exit_code),
            }
        }


def describe(error: BaseException) -> Failure:
    """Turn any exception into the one Failure that the user sees."""
    from store.errors import LfsdError

    name = type(error).__name__
    if isinstance(error, LfsdError):
        return Failure(name, error.message, error.hint, _code_of(error))
    if isinstance(error, typer.TyperException):
        return _usage_failure(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return Failure("Interrupted", "interrupted", "", ExitCode.INTERRUPTED)
    if _is_out_of_memory(error):
        return Failure(
            "OutOfMemory",
            _first_line(error) or "out of memory",
            "close other programs, or use a smaller --batch, or --device cpu",
            ExitCode.RESOURCE,
        )
    if isinstance(error, OSError):
        return _os_failure(error)
    hint = "run it again with LFSD_DEBUG=1 to see the traceback"
    return Failure(name, f"{name}: {_first_line(error)}".rstrip(": "), hint, ExitCode.FAILED)


def _code_of(error: BaseException) -> ExitCode:
    for cls in type(error).__mro__:
        if cls.__name__ in _CODE_OF_CLASS:
            return _CODE_OF_CLASS[cls.__name__]
    return ExitCode.FAILED


def _usage_failure(error: typer.TyperException) -> Failure:
    context = getattr(error, "ctx", None)
    hint = f"see: {context.command_path} --help" if context is not None else "see: lfsd --help"
    return Failure("UsageError", error.format_message(), hint, ExitCode.USAGE)


def _os_failure(error: OSError) -> Failure:
    where = str(error.filename) if error.filename is not None else ""
    reason = os.strerror(error.errno) if error.errno else _first_line(error)
    message = f"{where}: {reason}" if where else reason
    if error.errno in _DISK_ERRNOS:
        hint = "free some disk space, or name another folder with --home; nothing was changed"
        return Failure("DiskFull", message, hint, ExitCode.RESOURCE)
    if error.errno in _DENIED_ERRNOS:
        hint = "check the folder's permissions, or name another one with --home or --out"
        return Failure("NotWritable", message, hint, ExitCode.USAGE)
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return Failure(type(error).__name__, message, "check the path", ExitCode.USAGE)
    return Failure(type(error).__name__, message, "", ExitCode.FAILED)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    # Only a process that already loaded torch can raise its exception: never import it for this.
    torch = sys.modules.get("torch")
    cuda_error = getattr(torch, "OutOfMemoryError", None)
    if cuda_error is not None and isinstance(error, cuda_error):
        return True
    # The CPU allocator raises a bare RuntimeError and only its text tells.
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "not enough memory" in text or "can't allocate memory" in text
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
