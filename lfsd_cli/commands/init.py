"""`lfsd init`: a new store on a base model."""

from typing import Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import ExitCode


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "init",
        examples=[
            "lfsd init                                  the embedded base, no network",
            "lfsd init --base ./stable-diffusion-v1-5   a diffusers folder",
            "lfsd init --base stabilityai/stable-diffusion-xl-base-1.0 --home ./xl",
        ],
        exits=[ExitCode.OK, ExitCode.USAGE, ExitCode.BUSY, ExitCode.RESOURCE, ExitCode.MODEL],
    )(init)


def init(
    call: Call,
    base: Annotated[
        str,
        typer.Option("--base", metavar="BASE", help="`pocket`, a diffusers folder, or a hub id."),
    ] = "pocket",
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="R", help="Branch, tag or commit on the hub."),
    ] = None,
) -> None:
    """Make a new store on a base model.

    `lfsd learn` does this by itself, with the embedded base.
    """
    from lfsd.lifelong import LifelongModel

    with LifelongModel.create(call.home, base=base, revision=revision) as model:
        ref = model.store.base

    def human() -> None:
        call.out.line(f"new store in {call.home}, on {ref.id} ({ref.layout}, {ref.sha256[:12]})")
        call.out.note("next: lfsd learn PHOTOS --token V1 --class cat")

    call.out.result(
        {
            "schema": SCHEMA,
            "home": str(call.home),
            "base": {
                "id": ref.id,
                "revision": ref.revision,
                "sha256": ref.sha256,
                "layout": ref.layout,
            },
        },
        human=human,
        quiet=[call.home],
    )
