"""Export: the adapter and some concepts' tokens, in files that other programs load.

Two forms. `kohya` is for A1111, Forge, ComfyUI and InvokeAI: a LoRA file (`lfsd.kohya`) and a
textual-inversion file for each token. `diffusers` is for `load_lora_weights` and
`load_textual_inversion`. LoRA's scale, alpha / rank, is multiplied into the matrices, so that a
reader who ignores alpha draws the same. Vision contexts stay behind: no other program has
In-Context Generation. No torch is imported here.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from lfsd import kohya
from lfsd.errors import (
    BaseUnavailableError,
    NotFoundError,
    ResourceError,
    StoreCorruptError,
    UsageError,
)
from lfsd.export_notes import EMBEDDINGS, ENCODERS, SIGNED, loading, places, read_me
from lfsd.loaded import LoadedModel
from lfsd.locate import locate_base, native_resolution
from lfsd.prompts import concept_words
from lfsd.settings import Settings
from store.records import BaseRef, Concept, Session
from store.snapshot import exchange
from store.text import printable

if TYPE_CHECKING:
    import numpy as np

Form = Literal["kohya", "diffusers"]
Tensors = dict[str, "np.ndarray"]

READ_ME = "README.txt"
DIFFUSERS_LORA = "pytorch_lora_weights.safetensors"
"""The file `load_lora_weights` looks for in a folder."""


@dataclass(frozen=True)
class Exported:
    """What was written, and of what."""

    folder: Path
    files: tuple[Path, ...]
    form: Form
    session: Session
    concepts: tuple[Concept, ...]


def export(
    model: LoadedModel,
    tokens: Sequence[str] = (),
    folder: Path | None = None,
    *,
    form: Form = "kohya",
    at: str | None = None,
    force: bool = False,
) -> Exported:
    """Write the adapter of a session (default: now) and the tokens of some concepts to a folder.

    No tokens means all of them; no folder, one named after them where we are. The folder appears
    whole or not at all; `force` lets it take the place of an earlier export. Raises NotFoundError
    for an unknown token or session or when there is nothing to export; UsageError if something is
    in the way or cannot be written; ResourceError when the disk is full; BaseUnavailableError if
    the base, whose configuration decides kohya's names, cannot be read.
    """
    store = model.store
    session = store.head if at is None else store.session(at)
    known = store.concepts(session.id)
    concepts = [store.concept(token, session.id) for token in dict.fromkeys(tokens)] or known
    if session.adapter is None or not concepts:
        raise NotFoundError(
            f"session {session.number} knows no concept: there is nothing to export",
            "learn one first: lfsd learn PHOTOS --token V1 --class cat",
        )
    title = "-".join(["lfsd", *(c.token for c in concepts if tokens)])[:80]
    folder = (folder or Path(title if tokens else "lfsd-concepts")).expanduser().absolute()
    _check_free(folder, force)
    settings = model.settings_at(session) or Settings()
    matrices = scaled(store.tensors(session.adapter), settings.alpha)
    sdxl = store.base.layout == "sdxl"
    files = {f"{EMBEDDINGS}/{c.token}.safetensors": _packed(embedding(c, sdxl)) for c in concepts}
    if form == "kohya":
        kind, resolution = _kind(store.base)
        words = [concept_words(c.token, c.class_noun) for c in concepts]
        rank = next(m.shape[0] for key, m in matrices.items() if ".lora_A." in key)
        resolution = settings.resolution or resolution
        told = kohya.metadata(kind, rank, title, words, resolution, session.created)
        files[f"lora/{title}.safetensors"] = _packed(kohya.lora(matrices, kind), told)
    else:
        files[DIFFUSERS_LORA] = _packed({f"unet.{key}": m for key, m in matrices.items()})
    how = places(store.base, concepts, title) if form == "kohya" else loading(store.base, concepts)
    files[READ_ME] = read_me(store.base, session, how).encode()
    _write(folder, files)
    paths = tuple(folder / name for name in files)
    return Exported(folder, paths, form, session, tuple(concepts))


def scaled(matrices: Tensors, alpha: float) -> Tensors:
    """LoRA matrices [r,in,...] and [out,r,...] with alpha / r multiplied into the second."""
    import numpy as np

    found = {}
    for key, matrix in matrices.items():
        if ".lora_B." in key:
            matrix = (matrix * (alpha / matrix.shape[1])).astype(np.float32)
        found[key] = matrix
    return found


def embedding(concept: Concept, sdxl: bool) -> Tensors:
    """A token's rows [k,D] as textual inversion keeps them: under its name, or one for each of
    SDXL's encoders. StoreCorruptError if rows are missing."""
    rows = sorted(concept.rows, key=lambda row: row.encoder)
    names = ENCODERS if sdxl else (concept.token,)
    if [row.encoder for row in rows] != list(range(len(names))):
        raise StoreCorruptError(f"concept {concept.token} has no embedding rows for this base")
    return {name: row.array() for name, row in zip(names, rows, strict=True)}


def _packed(tensors: Tensors, told: Mapping[str, str] | None = None) -> bytes:
    from safetensors.numpy import save

    return save(tensors, metadata=dict(told or {"format": "pt"}))


def _kind(base: BaseRef) -> tuple[kohya.Kind, int]:
    """What of the base decides names, and its resolution."""
    folder = locate_base(base.id, base.revision or None)
    try:
        unet = json.loads((folder / "unet/config.json").read_text(encoding="utf-8"))
        noise = json.loads((folder / "scheduler/scheduler_config.json").read_text(encoding="utf-8"))
        kind = kohya.Kind(
            id=base.id,
            sdxl=base.layout == "sdxl",
            v_prediction=noise.get("prediction_type") == "v_prediction",
            layers_per_block=int(unet["layers_per_block"]),
            text_width=int(unet["cross_attention_dim"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseUnavailableError(
            f"cannot read the configuration of the base in {folder}",
            "bring the base back as it was, or export with --format diffusers",
        ) from error
    return kind, native_resolution(folder)


def _check_free(folder: Path, force: bool) -> None:
    """UsageError unless nothing is there, an empty folder or, with `force`, an earlier export."""
    with _writing(folder):
        if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
            return
        ours = (folder / READ_ME).is_file() and _signed(folder / READ_ME)
    shown = printable(str(folder), 300)
    if not ours:
        raise UsageError(f"{shown} is there already", "name another folder with --out")
    if not force:
        raise UsageError(
            f"{shown} holds an earlier export", "name another folder with --out, or add --force"
        )


def _signed(read_me: Path) -> bool:
    with read_me.open("rb") as file:
        return file.read(len(SIGNED)) == SIGNED.encode()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` of all files, in the place of whatever it was, whole or not at all."""
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.name[:40]}."
        with TemporaryDirectory(prefix=prefix, dir=folder.parent) as scratch:
            made, former = Path(scratch) / "new", Path(scratch) / f".{folder.name}.old"
            for name, data in files.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(data)
            if not folder.exists():
                made.rename(folder)
            elif any(folder.iterdir()):
                exchange(made, folder, former)
            else:  # it may be where the user stands
                for part in made.iterdir():
                    part.rename(folder / part.name)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn an OSError into our own error that names the folder."""
    try:
        yield
    except OSError as error:
        shown, why = printable(str(folder), 300), error.strerror or str(error)
        kind = ResourceError if error.errno in (ENOSPC, EDQUOT, EFBIG) else UsageError
        raise kind(
            f"cannot write {shown}: {why}; nothing was written",
            "name another folder with --out",
        ) from error
