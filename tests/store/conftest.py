"""Stores under test live in memory where they can."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Replace pytest's folder by one in memory: thousands of real fsyncs would take minutes.

    Nothing these tests check depends on the disk: a killed process leaves what the kernel has.
    """
    shm = Path("/dev/shm")
    if os.access(shm, os.W_OK):
        with tempfile.TemporaryDirectory(dir=shm) as folder:
            yield Path(folder)
    else:
        yield tmp_path_factory.mktemp("store")
