"""The checkpoint of a running session: one safetensors file, replaced atomically."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lfsd.errors import NotFoundError, ResourceError, UsageError

NAME = "checkpoint.safetensors"


def save_checkpoint(folder: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> Path:
    """Write tensors and `about` (JSON-able) to `folder`; the old file stays until the new is on
    disk.

    ResourceError when the disk is full.
    """
    path = folder / NAME
    waiting = folder / (NAME + ".tmp")
    data = save(
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
        {"about": json.dumps(about, sort_keys=True)},
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with waiting.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        waiting.replace(path)
        _sync_folder(folder)
    except OSError as error:
        waiting.unlink(missing_ok=True)
        raise ResourceError(f"cannot write the checkpoint {path}: {error.strerror}") from error
    return path


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, about) of the checkpoint; NotFoundError if there is none or it cannot be read."""
    path = folder / NAME
    if not path.is_file():
        raise NotFoundError("there is no interrupted session to resume", "learn without --resume")
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}
            return tensors, json.loads((stream.metadata() or {})["about"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise NotFoundError(
            f"the checkpoint {path} cannot be read", "learn without --resume"
        ) from error


def drop_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a session that is committed or given up."""
    (folder / NAME).unlink(missing_ok=True)


def check_same(about: dict[str, Any], wanted: dict[str, Any]) -> None:
    """UsageError naming the first thing in which a checkpoint belongs to another session."""
    # as it was written: JSON knows no tuples
    for key, value in json.loads(json.dumps(wanted)).items():
        if about.get(key) != value:
            raise UsageError(
                f"the interrupted session had another {key.replace('_', ' ')}"
                + (f": {about.get(key)}" if isinstance(value, (str, int)) else ""),
                "repeat its command with --resume, or learn without --resume",
            )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments and step counts by parameter number."""
    return {
        f"optimizer.{number}.{name}": value
        for number, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put the moments of `optimizer_tensors` back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
