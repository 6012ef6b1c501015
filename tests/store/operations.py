"""The operations that change a store, each from the same starting point."""

from collections.abc import Callable
from pathlib import Path

from store import Store
from tests.store.helpers import BASE, learn


def prepare(home: Path) -> None:
    """Make the store every operation starts from."""
    with Store.create(home, BASE) as store:
        learn(store, "V1", 1)
        learn(store, "V2", 2)


OPERATIONS: dict[str, Callable[[Store], object]] = {
    "learn": lambda store: learn(store, "V3", 3),
    "rm": lambda store: store.commit_rm("V1"),
    "rename": lambda store: store.commit_rename("V1", "MAX"),
    "undo": lambda store: store.undo(),
    "goto": lambda store: store.goto("0"),
    "metrics": lambda store: store.update_metrics("2", {"fidelity": 0.9}),
}
