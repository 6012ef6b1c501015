"""README.txt of an export: for which base it is, where its files go, what to type there."""

import json
from collections.abc import Sequence

from lfsd.locate import POCKET
from lfsd.prompts import concept_words, fill
from store.records import BaseRef, Concept, Session
from store.text import printable

EMBEDDINGS = "embeddings"
"""The folder of the textual-inversion files."""
ENCODERS = ("clip_l", "clip_g")
"""A textual-inversion file's names for SDXL's two text encoders."""
SIGNED = "Written by lfsd"
"""How README.txt begins, by which an earlier export is known."""

_POCKET = """\
pocket is lfsd's own base, which none of the programs below has: this is for a program that you
give its folder. With Python it is simple: export with --format diffusers.

"""

_PLACES = """\
Write in a prompt:  {words}

A1111, Forge    lora/ into models/Lora, embeddings/ into embeddings
                {prompt} <lora:{title}:1>
ComfyUI         lora/ into models/loras, embeddings/ into models/embeddings
                {comfy}, with the LoRA at strength 1
InvokeAI        import the files of both folders
                {invoke}, with the LoRA at weight 1
"""

_LOADING = """\
Write in a prompt:  {words}

From Python, in this folder:

import safetensors.torch
from diffusers import {pipeline}
{before}
pipeline = {pipeline}.from_pretrained({base})
pipeline.load_lora_weights(".")
{embeddings}
pipeline({prompt}).images[0].save("picture.png")

diffusers also takes these tokens for parts of longer words (V1 in V12) and in small letters.
"""

# SDXL's published configuration names a wrong end token; then the highest id counts as the end
_SDXL_END = """\
# pool the prompt at its end, not at the new word
encoder = pipeline.text_encoder_2
getattr(encoder, "text_model", encoder).eos_token_id = pipeline.tokenizer_2.eos_token_id"""


def read_me(base: BaseRef, session: Session, how: str) -> str:
    """What this folder is, for which base, where its files go and what to type there."""
    lines = [
        f"{SIGNED}: session {session.number} of a store on the base {printable(base.id)}",
        f"(content {base.sha256[:12]}). It draws nothing sensible on any other base model.",
        "",
        how,
        "lfsd also shows the model the concepts' stored vision contexts while it draws, and on a",
        "small base takes shapes from them. Other programs have nothing to put them in: expect a",
        "weaker likeness there.",
    ]
    return "\n".join(lines) + "\n"


def _prompt(words: str) -> str:
    return fill("a photo of a {}", words)


def places(base: BaseRef, concepts: Sequence[Concept], title: str) -> str:
    """Where each program keeps such files, and how a prompt names them there."""
    first = concepts[0]
    return (_POCKET if base.id == POCKET else "") + _PLACES.format(
        words=", ".join(concept_words(c.token, c.class_noun) for c in concepts),
        prompt=_prompt(concept_words(first.token, first.class_noun)),
        comfy=_prompt(concept_words(f"embedding:{first.token}", first.class_noun)),
        invoke=_prompt(concept_words(f"<{first.token}>", first.class_noun)),
        title=title,
    )


def loading(base: BaseRef, concepts: Sequence[Concept]) -> str:
    """Lines of Python that load the export with diffusers."""
    sdxl, pocket = base.layout == "sdxl", base.id == POCKET
    lines = []
    for concept in concepts:
        file, token = f'"{EMBEDDINGS}/{concept.token}.safetensors"', f'token="{concept.token}"'
        if not sdxl:
            lines.append(f"pipeline.load_textual_inversion({file}, {token})")
            continue
        lines.append(f"rows = safetensors.torch.load_file({file})")
        for name, end in zip(ENCODERS, ("", "_2"), strict=True):
            parts = f"text_encoder=pipeline.text_encoder{end}, tokenizer=pipeline.tokenizer{end}"
            lines.append(f'pipeline.load_textual_inversion(rows["{name}"], {token}, {parts})')
    words = [concept_words(_spelled(c), c.class_noun) for c in concepts]
    pinned = f", revision={base.revision!r}" if base.revision else ""
    return _LOADING.format(
        words=", ".join(words),
        pipeline="StableDiffusionXLPipeline" if sdxl else "StableDiffusionPipeline",
        before="from lfsd.locate import locate_base\n" if pocket else "",
        base="locate_base()" if pocket else f"{base.id!r}{pinned}",
        embeddings="\n".join([*lines, _SDXL_END] if sdxl else lines),
        prompt=json.dumps(_prompt(words[0]), ensure_ascii=False),
    )


def _spelled(concept: Concept) -> str:
    """A token as diffusers wants it: all of its rows named, `V1 V1_1 V1_2`."""
    count = concept.rows[0].shape[0]
    return " ".join([concept.token, *(f"{concept.token}_{i}" for i in range(1, count))])
