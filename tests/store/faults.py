"""Make the Nth call that touches the disk go wrong: every one the store makes goes by here.

The real calls are made up to that point; nothing is simulated but the fault itself.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lmdb
import pytest

import store.env

CALLS = ("open", "write", "pwrite", "fsync", "replace", "mkdir", "chmod", "unlink", "ftruncate")


class Counter:
    """Counts the calls and strikes at call `at` (and, if `lasting`, at every one after)."""

    def __init__(self, at: int, strike: Callable[[str], None], lasting: bool = False) -> None:
        self.at = at
        self.calls: list[str] = []
        self.struck = False
        self.over = False
        self._strike = strike
        self._lasting = lasting

    def tick(self, name: str) -> None:
        if self.over:  # an environment opened under faults lives on after them
            return
        self.calls.append(name)
        if len(self.calls) == self.at or (self._lasting and len(self.calls) > self.at):
            self.struck = True
            self._strike(name)


class _Env:
    """An LMDB environment whose write transactions are counted."""

    def __init__(self, env: Any, counter: Counter) -> None:
        self._env = env
        self._counter = counter
        self.panicked = False

    def begin(self, write: bool = False) -> Any:
        if self.panicked:
            raise lmdb.PanicError("mdb_txn_begin")
        if write:
            self._counter.tick("lmdb begin")
        txn = self._env.begin(write=write)
        return _Txn(txn, self._counter, self) if write else txn

    def copy(self, *args: Any, **kwargs: Any) -> None:
        self._counter.tick("lmdb copy")
        self._env.copy(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)


class _Txn:
    def __init__(self, txn: Any, counter: Counter, env: _Env) -> None:
        self._txn = txn
        self._env = env
        self._counter = counter

    def put(self, *args: Any, **kwargs: Any) -> Any:
        self._counter.tick("lmdb put")
        return self._txn.put(*args, **kwargs)

    def commit(self) -> None:
        try:
            self._counter.tick("lmdb commit")
        except lmdb.Error:
            # What LMDB does when it could not write a meta page: nothing more until reopened.
            self._txn.abort()
            self._env.panicked = True
            raise
        self._txn.commit()
        self._counter.tick("lmdb committed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._txn, name)


@contextmanager
def faults(counter: Counter) -> Iterator[Counter]:
    """Count (and strike at) the calls made inside."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, _counted(getattr(os, name), name, counter))
        real = lmdb.open

        def opened(*args: Any, **kwargs: Any) -> _Env:
            return _Env(real(*args, **kwargs), counter)

        patch.setattr(store.env.lmdb, "open", opened)
        yield counter
        counter.over = True


def _counted(real: Callable[..., Any], name: str, counter: Counter) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            counter.tick(name)
        except OSError:
            if name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])  # a torn write
            raise
        return real(*args, **kwargs)

    return call
