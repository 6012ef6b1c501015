"""`lfsd export`: the adapter and tokens as files for other programs."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from lfsd_cli import completion
from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import ExitCode
from lfsd_cli.text import human_bytes


class Format(Enum):
    """Whose names the files speak."""

    KOHYA = "kohya"
    DIFFUSERS = "diffusers"


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "export",
        examples=[
            "lfsd export V1                         for A1111, Forge, ComfyUI, InvokeAI",
            "lfsd export V1 V2 --out both",
            "lfsd export --format diffusers         every concept, for Python",
            "lfsd export V1 --at 3                  as it was after session 3",
        ],
        exits=[
            ExitCode.OK,
            ExitCode.USAGE,
            ExitCode.NOT_FOUND,
            ExitCode.CORRUPT,
            ExitCode.RESOURCE,
            ExitCode.MODEL,
        ],
    )(export)


def export(
    call: Call,
    tokens: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOKEN]...",
            help="The concepts; all of them if none is named.",
            autocompletion=completion.tokens,
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="kohya: keys that image programs know.")
    ] = Format.KOHYA,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder (./lfsd-TOKEN/)."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="SESSION",
            help="As of a session.",
            autocompletion=completion.sessions,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take the place of an earlier export.")
    ] = False,
) -> None:
    """Write LoRA and tokens as files for other programs.

    One LoRA file holds everything learned; each token has an embedding file of its own. README.txt
    beside them says where they go and what to type. Vision contexts stay in the store: other
    programs cannot use them, so a likeness is weaker there.
    """
    from lfsd.export import export as run
    from lfsd.lifelong import LifelongModel

    with LifelongModel.open(call.home) as model:
        done = run(model, tokens or (), out, form=form.value, at=at, force=force)
        pocket = model.store.base.id == "pocket"
    document = {
        "schema": SCHEMA,
        "export": {
            "folder": str(done.folder),
            "format": done.form,
            "session": done.session.id,
            "concepts": [concept.token for concept in done.concepts],
            "files": [str(path) for path in done.files],
        },
    }

    def human() -> None:
        for path in done.files:
            call.out.line(f"{path}  {human_bytes(path.stat().st_size)}")
        if pocket and form is Format.KOHYA:
            call.out.note("no other program has pocket: --format diffusers is for Python")
        call.out.note(f"where they go and what to type: {done.files[-1]}")

    call.out.result(document, human=human, quiet=[str(path) for path in done.files])
