"""What `lfsd doctor` looks at, each as plain facts; nothing here is changed."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "lmdb", "textual", "pillow")
LITTLE_DISK = 2 * 10**9
LITTLE_MEMORY = 4 * 10**9


def versions() -> dict[str, str]:
    """Ours, Python's, and those of the libraries that matter."""
    from lfsd import __version__

    found = {"lfsd": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine(device: str) -> dict[str, Any]:
    """The device that would be used, its memory in bytes, and the precision."""
    from lfsd.device import describe, pick_device, pick_dtype

    picked = pick_device(device)
    precision = str(pick_dtype(picked)).removeprefix("torch.")
    return {"platform": platform.platform(), "device": str(picked), "precision": precision} | (
        describe(picked)
    )


def store(home: Path) -> dict[str, Any]:
    """Whether there is a store, how much is in it, who writes to it, and what is wrong with it."""
    from store.errors import LfsdError, NotFoundError
    from store.store import Store, writer
    from store.verify import verify

    facts: dict[str, Any] = {"home": str(home), "exists": True, "problems": []}
    try:
        with Store.open(home) as opened:
            facts["base"] = opened.base.id
            facts["layout"] = opened.base.layout
            facts["revision"] = opened.base.revision
            facts["sessions"] = opened.head.number
            facts["concepts"] = len(opened.concepts())
            facts["problems"] = verify(opened)
    except NotFoundError:
        facts["exists"] = False
    except LfsdError as error:
        facts["problems"] = [error.message]
    holder = writer(home) if facts["exists"] else None
    facts["writer"] = None if holder is None else f"process {holder.get('pid', '?')}"
    facts["bytes"] = sum(p.stat().st_size for p in _files(home))
    facts["disk_free"] = shutil.disk_usage(_existing(home)).free
    return facts


def base(facts: dict[str, Any]) -> dict[str, Any]:
    """Where the store's base is (the embedded one if there is no store), or why it is not."""
    from lfsd.errors import LfsdError
    from lfsd.locate import POCKET, layout_of, locate_base, native_resolution

    name = str(facts.get("base", POCKET))
    try:
        folder = locate_base(name, str(facts.get("revision") or "") or None)
        side = native_resolution(folder)
        return {"id": name, "folder": str(folder), "layout": layout_of(folder), "pixels": side}
    except LfsdError as error:
        return {"id": name, "problem": error.message}


def slow(machine: dict[str, Any], base: dict[str, Any], store: dict[str, Any]) -> list[str]:
    """What would be slow or fail here, and why."""
    found = []
    on_cpu, big = machine["device"] == "cpu", base.get("pixels", 0) >= 512
    if on_cpu and big:
        found.append(
            f"{base['id']} draws {base['pixels']} pixels: on a CPU a picture takes minutes and a "
            "session hours; a GPU does it"
        )
    if on_cpu and machine["precision"] == "float32":
        found.append("this processor has no bf16 arithmetic: float32 is 2 to 4 times slower")
    if on_cpu and machine.get("threads") == 1:
        found.append("torch uses one thread: OMP_NUM_THREADS=1 is set, or there is one core")
    if machine["memory"] < LITTLE_MEMORY * (3 if big else 1):
        found.append(
            "little memory for this base: use --batch 1 --set replay=1, and expect it to back off"
        )
    if store["disk_free"] < LITTLE_DISK:
        found.append("little disk space: every session writes its own copy of the adapter")
    return found


def _files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()] if home.is_dir() else []


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())
