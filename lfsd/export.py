"""Export: the adapter and some concepts' tokens, in files that other programs load.

Two forms. `kohya` is for A1111, Forge, ComfyUI and InvokeAI: a LoRA file (`lfsd.kohya`) and a
textual-inversion file for each token. `diffusers` is for `load_lora_weights` and
`load_textual_inversion`. LoRA's scale, alpha / rank, is multiplied into the matrices, so that a
reader who ignores alpha draws the same. Vision contexts stay behind: no other program has
In-Context Generation. No torch is imported here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lfsd import kohya
from lfsd.errors import NotFoundError, UsageError
from lfsd.loaded import LoadedModel
from lfsd.locate import POCKET, locate_base, native_resolution
from lfsd.prompts import concept_words
from lfsd.settings import Settings
from store.records import Concept, Session

if TYPE_CHECKING:
    import numpy as np

Form = Literal["kohya", "diffusers"]
Tensors = dict[str, "np.ndarray"]

EMBEDDINGS, READ_ME = "embeddings", "README.txt"
DIFFUSERS_LORA = "pytorch_lora_weights.safetensors"
"""The file `load_lora_weights` looks for in a folder."""
_ENCODERS = ("clip_l", "clip_g")
"""A textual-inversion file's names for SDXL's two text encoders."""


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
    """Write the adapter of a session (default: now) and the tokens of some concepts to `folder`.

    No tokens means all of them; no folder, one named after them where we are. Raises NotFoundError
    for an unknown token or session or when there is nothing to export; UsageError if files are in
    the way (unless `force`); BaseUnavailableError if the base, whose configuration decides names,
    cannot be read.
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
    settings = model.settings_at(session) or Settings()
    matrices = scaled(store.tensors(session.adapter), settings.alpha)
    title = "-".join(["lfsd", *(c.token for c in concepts if tokens)])[:80]
    folder = folder or Path(title if tokens else "lfsd-concepts")
    base = locate_base(store.base.id, store.base.revision or None)
    files = {f"{EMBEDDINGS}/{c.token}.safetensors": _packed(embedding(c)) for c in concepts}
    if form == "kohya":
        lora = f"lora/{title}.safetensors"
        kind = _kind(base, store.base.id, sdxl=store.base.layout == "sdxl")
        told = kohya.metadata(
            kind,
            next(m.shape[0] for key, m in matrices.items() if ".lora_A." in key),
            title,
            [concept_words(c.token, c.class_noun) for c in concepts],
            settings.resolution or native_resolution(base),
            session.created,
        )
        files[lora] = _packed(kohya.lora(matrices, kind), told)
    else:
        lora = DIFFUSERS_LORA
        files[lora] = _packed({f"unet.{key}": matrix for key, matrix in matrices.items()})
    files[READ_ME] = _read_me(model, concepts, session, form, lora).encode()
    return Exported(folder, _write(folder, files, force), form, session, tuple(concepts))


def scaled(matrices: Tensors, alpha: float) -> Tensors:
    """LoRA matrices [r,in,...] and [out,r,...] with alpha / r multiplied into the second."""
    import numpy as np

    found = {}
    for key, matrix in matrices.items():
        if ".lora_B." in key:
            matrix = (matrix * (alpha / matrix.shape[1])).astype(np.float32)
        found[key] = matrix
    return found


def embedding(concept: Concept) -> Tensors:
    """A token's rows [k,D] as textual inversion keeps them: under its name, or one for each of
    SDXL's encoders."""
    rows = sorted(concept.rows, key=lambda row: row.encoder)
    names = [concept.token] if len(rows) == 1 else _ENCODERS
    return {name: row.array() for name, row in zip(names, rows, strict=True)}


def _packed(tensors: Tensors, told: Mapping[str, str] | None = None) -> bytes:
    from safetensors.numpy import save

    return save(tensors, metadata=dict(told or {"format": "pt"}))


def _kind(base: Path, name: str, *, sdxl: bool) -> kohya.Kind:
    unet = json.loads((base / "unet/config.json").read_text(encoding="utf-8"))
    noise = json.loads((base / "scheduler/scheduler_config.json").read_text(encoding="utf-8"))
    return kohya.Kind(
        id=name,
        sdxl=sdxl,
        v_prediction=noise.get("prediction_type") == "v_prediction",
        layers_per_block=unet["layers_per_block"],
        text_width=unet["cross_attention_dim"],
    )


_PLACES = """\
Put lora/ into      A1111, Forge: models/Lora      ComfyUI: models/loras
embeddings/ into    A1111, Forge: embeddings       ComfyUI: models/embeddings
and prompt          A1111, Forge: {prompt} <lora:{lora}:1>
                    ComfyUI: {comfy}, with the LoRA at strength 1
"""

_LOADING = """\
From Python, in this folder:

import safetensors.torch
from diffusers import {pipeline}

pipeline = {pipeline}.from_pretrained("{base}")
pipeline.load_lora_weights("{lora}")
{embeddings}
pipeline("{prompt}").images[0].save("picture.png")
"""

# SDXL's published configuration names a wrong end token; then the highest id counts as the end
_SDXL_END = """\
# pool the prompt at its end, not at the new word
encoder = pipeline.text_encoder_2
getattr(encoder, "text_model", encoder).eos_token_id = pipeline.tokenizer_2.eos_token_id"""


def _read_me(
    model: LoadedModel, concepts: Sequence[Concept], session: Session, form: Form, lora: str
) -> str:
    """What this folder is, for which base, where its files go and what to type there."""
    base, words = model.store.base, [concept_words(c.token, c.class_noun) for c in concepts]
    prompt = f"a photo of a {words[0]}"
    lines = [
        f"Written by lfsd: session {session.number} of a store on the base {base.id}",
        f"(content {base.sha256[:12]}). It draws nothing sensible on any other base model.",
        "",
        "Write these words in a prompt: " + ", ".join(words),
        "",
    ]
    if form == "kohya":
        comfy = prompt
        for concept in concepts[:1]:
            comfy = comfy.replace(concept.token, f"embedding:{concept.token}")
        lines.append(_PLACES.format(prompt=prompt, lora=Path(lora).stem, comfy=comfy))
    else:
        lines.append(_loading(base.id, base.layout == "sdxl", concepts, prompt))
    if base.id == POCKET:
        lines.append(
            "pocket is lfsd's own base: no other program comes with it. Its folder, bases/pocket\n"
            "where lfsd is installed, is a diffusers pipeline: export with --format diffusers.\n"
        )
    lines.append(
        "lfsd also shows the model the concepts' stored vision contexts while it draws. Other\n"
        "programs have nothing to put them in: expect a weaker likeness there."
    )
    return "\n".join(lines) + "\n"


def _loading(base: str, sdxl: bool, concepts: Sequence[Concept], prompt: str) -> str:
    """Lines of Python that load the export with diffusers."""
    lines = []
    for concept in concepts:
        file = f'"{EMBEDDINGS}/{concept.token}.safetensors"'
        if not sdxl:
            lines.append(f'pipeline.load_textual_inversion({file}, token="{concept.token}")')
            continue
        lines.append(f"rows = safetensors.torch.load_file({file})")
        for name, end in zip(_ENCODERS, ("", "_2"), strict=True):
            lines.append(
                f'pipeline.load_textual_inversion(rows["{name}"], token="{concept.token}", '
                f"text_encoder=pipeline.text_encoder{end}, tokenizer=pipeline.tokenizer{end})"
            )
    if sdxl:
        lines.append(_SDXL_END)
    return _LOADING.format(
        pipeline="StableDiffusionXLPipeline" if sdxl else "StableDiffusionPipeline",
        base="lfsd/bases/pocket" if base == POCKET else base,
        lora=".",
        embeddings="\n".join(lines),
        prompt=prompt,
    )


def _write(folder: Path, files: Mapping[str, bytes], force: bool) -> tuple[Path, ...]:
    """Write all files, each whole; UsageError before the first one if any is in the way."""
    paths = {folder / name: data for name, data in files.items()}
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise UsageError(
            f"{taken[0]} is there already", "name another folder with --out, or add --force"
        )
    for path, data in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
        try:
            draft.write_bytes(data)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return tuple(paths)
