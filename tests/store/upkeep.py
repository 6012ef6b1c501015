"""The operations that look after a store: none of them changes what the model knows."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from store import Store
from store.backup import backup, restore
from store.collect import collect
from store.compact import compact
from store.trash import restore_trash
from store.verify import verify_home
from tests.store.helpers import learn
from tests.store.operations import prepare

NOW = timedelta(0)


def prepare_upkeep(root: Path) -> None:
    """Make `home` with two sessions off the line, and `source`, a backup of it."""
    prepare(root / "home")
    with Store.open(root / "home", write=True) as store:
        learn(store, "V3", 3)
        store.commit_rm("V1")
        store.goto("2")
        learn(store, "V4", 4)
        store.update_metrics("3", {"fidelity": 0.25})
        backup(store, root / "source")
        (root / "home" / "tmp" / "draft").write_bytes(b"left")


def with_trash(root: Path) -> None:
    """The same, after a collection."""
    prepare_upkeep(root)
    with Store.open(root / "home", write=True) as store:
        collect(store, grace=NOW, keep_sessions=1)


def _writing(change: Callable[[Store], object]) -> Callable[[Path], object]:
    def run(root: Path) -> None:
        with Store.open(root / "home", write=True) as store:
            change(store)

    return run


def _backup(root: Path) -> None:
    with Store.open(root / "home") as store:
        backup(store, root / "backup")


def _restore(root: Path) -> None:
    restore(root / "source", root / "home", replace=True)


UPKEEP: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "gc": (prepare_upkeep, _writing(lambda s: collect(s, grace=NOW))),
    "thin": (prepare_upkeep, _writing(lambda s: collect(s, grace=NOW, keep_sessions=1))),
    "untrash": (with_trash, _writing(restore_trash)),
    "empty": (with_trash, _writing(lambda s: collect(s, empty=True))),
    "compact": (prepare_upkeep, _writing(compact)),
    "backup": (prepare_upkeep, _backup),
    "restore": (prepare_upkeep, _restore),
}


def known(home: Path) -> object:
    """Everything the model is at the head, every byte of it."""
    with Store.open(home) as store:
        head = store.head
        concepts = store.concepts()
        names = {head.adapter, *(sha for concept in concepts for sha in concept.blobs())}
        blobs = {sha: store.blob(sha) for sha in names if sha is not None}
        return head, [s.id for s in store.sessions()], concepts, blobs


def ever_known(home: Path) -> set[str]:
    """Every session that is there still: in the records, in the trash, or on its way to it."""
    with Store.open(home) as store:
        there = {session.id for session in store.all_sessions()}
    there |= {path.stem for path in home.glob("trash/*/sessions/*.session")}
    return there | {path.stem for path in home.glob("sessions/*.session")}


def restorable(home: Path) -> set[str]:
    """Every session in the records."""
    with Store.open(home) as store:
        return {session.id for session in store.all_sessions()}


def check_after(root: Path, before: object, sessions: set[str], operation: str) -> None:
    """What must hold whatever happened to the operation; then it runs to its end, and undone."""
    home, dest = root / "home", root / "backup"
    assert verify_home(home, data=True) == []
    assert known(home) == before
    assert ever_known(home) == sessions or operation == "empty"
    assert not dest.exists() or verify_home(dest, data=True) == []
    if dest.exists():
        assert known(dest) == before
        shutil.rmtree(dest)
    UPKEEP[operation][1](root)
    assert verify_home(home, data=True) == [] and known(home) == before
    with Store.open(home, write=True) as store:
        left = restore_trash(store).left
        assert left == [], left
    assert verify_home(home, data=True) == [] and known(home) == before
    assert restorable(home) == sessions or operation == "empty"
    assert not list(root.glob(".*.partial"))
    for aside in root.glob("home.before-*"):
        assert verify_home(aside, data=True) == []
        assert known(aside) == before
