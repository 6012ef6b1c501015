"""Each call that touches the disk made to fail in turn."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

from store import LfsdError, ResourceError
from tests.store.faults import Counter, faults
from tests.store.test_crash import strike


def every_call_failing(
    template: Path, root: Path, lasting: bool, run: Callable[[], object], check: Callable[[], None]
) -> int:
    """Run on a copy of `template` in `root`, call n failing (once or from there on), then check.

    Returns how often it was refused, each time as what it is; goes on until no call is left.
    """
    refused = 0
    for n in range(1, 500):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        # Both errors, turn about: every call meets one of them, half of the calls the other.
        with faults(Counter(n, strike((errno.ENOSPC, errno.EIO)[n % 2]), lasting)) as counter:
            try:
                run()
            except LfsdError as error:
                refused += 1
                assert isinstance(error, ResourceError), repr(error)
                assert "\n" not in error.message
        check()
        if not counter.struck:
            return refused
    raise AssertionError("there is no end of calls")
