"""What all tests share: no user's store is touched, and what this machine lacks is skipped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before any library reads them: no hub, no telemetry, and no fight over two cores.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads only wait for each other


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own LFSD_HOME; the developer's is out of reach."""
    monkeypatch.setenv("LFSD_HOME", str(tmp_path_factory.mktemp("lfsd") / "home"))
    # Commands started in a subprocess find this checkout from any folder.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.delenv("LFSD_DEBUG", raising=False)
    monkeypatch.delenv("LFSD_PREVIEW", raising=False)
    monkeypatch.delenv("RANK", raising=False)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands write to the current folder: let that be a temporary one."""
    monkeypatch.chdir(tmp_path)
    yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip `gpu` where there is none and `online` unless LFSD_ONLINE=1."""
    for item in items:
        if item.get_closest_marker("online") and os.environ.get("LFSD_ONLINE") != "1":
            item.add_marker(pytest.mark.skip(reason="needs the model hub; set LFSD_ONLINE=1"))
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="needs CUDA or MPS"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()
