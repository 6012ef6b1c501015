"""Blobs: immutable files named by the SHA-256 of their bytes, `blobs/ab/abcdef…`."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import StoreCorruptError
from store.files import disk_errors, fsync_folder, make_folder, write_file
from store.text import printable

if TYPE_CHECKING:
    import numpy as np

_NAME = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The blob folder of one store."""

    def __init__(self, root: Path, tmp: Path) -> None:
        self._root = root
        self._tmp = tmp

    def path(self, sha: str) -> Path:
        """Return where a blob lives; StoreCorruptError for a name that cannot be one."""
        if not _NAME.fullmatch(sha):
            raise StoreCorruptError(f"{printable(sha)!r} is not the name of a blob")
        return self._root / sha[:2] / sha

    def put(self, data: bytes) -> str:
        """Store bytes durably and return their name; a damaged copy already there is replaced."""
        sha = hashlib.sha256(data).hexdigest()
        path = self.path(sha)
        if path.is_file() and _intact(path, sha):
            # A killed writer may have renamed it and not come as far as this.
            with disk_errors("writing", path):
                fsync_folder(path.parent)
                fsync_folder(self._root)
            return sha
        make_folder(self._tmp)
        make_folder(path.parent)
        write_file(path, data, self._tmp)
        with disk_errors("writing", path):
            fsync_folder(self._root)
        return sha

    def get(self, sha: str) -> bytes:
        """Read a blob; StoreCorruptError when it is missing or not the bytes it is named after."""
        path = self.path(sha)
        try:
            with disk_errors("reading", path):
                data = path.read_bytes()
        except StoreCorruptError:
            raise StoreCorruptError(f"blob {path} is missing") from None
        if hashlib.sha256(data).hexdigest() != sha:
            raise StoreCorruptError(f"blob {path} is damaged: its bytes do not match its name")
        return data

    def size(self, sha: str) -> int:
        """Return the size of a blob in bytes; StoreCorruptError when it is missing."""
        path = self.path(sha)
        if not path.is_file():
            raise StoreCorruptError(f"blob {path} is missing")
        return path.stat().st_size

    def put_tensors(self, tensors: "Mapping[str, np.ndarray]") -> str:
        """Store arrays as one safetensors blob: equal arrays give one name, in any order."""
        import numpy as np
        from safetensors.numpy import save

        return self.put(save({k: np.asarray(tensors[k], order="C") for k in sorted(tensors)}))

    def tensors(self, sha: str) -> "dict[str, np.ndarray]":
        """Read a safetensors blob back; StoreCorruptError when it is not one."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        data = self.get(sha)
        try:
            tensors: dict[str, np.ndarray] = load(data)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StoreCorruptError(f"blob {self.path(sha)} holds no tensors: {error}") from error
        return tensors


def _intact(path: Path, sha: str) -> bool:
    with disk_errors("reading", path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha
