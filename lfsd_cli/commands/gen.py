"""`lfsd gen`: pictures from a prompt."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lfsd_cli import completion, preview
from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import ExitCode
from lfsd_cli.pictures import grid, grid_path, plan_paths
from lfsd_cli.progress import Narrator

if TYPE_CHECKING:
    from lfsd.generate import Picture


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "gen",
        examples=[
            'lfsd gen "a V1 cat on a beach"',
            'lfsd gen "a V1 cat and a V2 dog in the snow" -n 4 --grid --seed 7',
            'lfsd gen "a V1 cat" --as-of 1            as the model was after session 1',
            'lfsd gen "a V1 cat" --no-context         from the weights alone',
            'lfsd gen "a V1 cat" --context-blend 0    pose left to the words',
        ],
        exits=[
            ExitCode.OK,
            ExitCode.FAILED,
            ExitCode.USAGE,
            ExitCode.NOT_FOUND,
            ExitCode.CORRUPT,
            ExitCode.RESOURCE,
            ExitCode.MODEL,
            ExitCode.INTERRUPTED,
        ],
    )(gen)


def gen(
    call: Call,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to draw.")],
    n: Annotated[int, typer.Option("-n", min=1, max=256, help="How many pictures.")] = 1,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the first picture; random if not given.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, max=1000, help="Sampling steps.")] = 30,
    guidance: Annotated[
        float | None, typer.Option("--guidance", min=0.0, help="Guidance scale.")
    ] = None,
    guidance_fraction: Annotated[
        float | None,
        typer.Option(
            "--guidance-fraction",
            min=0.0,
            max=1.0,
            help="Share of the steps, from the first, that are guided.",
        ),
    ] = None,
    negative: Annotated[
        str, typer.Option("--negative", metavar="TEXT", help="What to keep away from.")
    ] = "",
    context: Annotated[
        bool, typer.Option("--context/--no-context", help="Use the concepts' vision contexts.")
    ] = True,
    context_strength: Annotated[
        float | None, typer.Option("--context-strength", min=0.0, help="How strongly (usually 1).")
    ] = None,
    context_blend: Annotated[
        float | None,
        typer.Option(
            "--context-blend",
            min=0.0,
            max=1.0,
            help="Share of the steps, from the first, with a context's shape; 0: none.",
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="SESSION",
            help="The model after SESSION.",
            autocompletion=completion.sessions,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PATH", help="Folder, or one .png (./lfsd-out/)."),
    ] = None,
    make_grid: Annotated[bool, typer.Option("--grid", help="Also one sheet of all.")] = False,
    show: Annotated[
        bool, typer.Option("--preview/--no-preview", help="Show it in the terminal.")
    ] = True,
    live: Annotated[
        Path | None,
        typer.Option(
            "--live", metavar="FILE.png", help="Keep the picture here while it takes shape."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")
    ] = False,
) -> None:
    """Draw pictures from a prompt.

    A token in the prompt, as a whole word, brings its concept; several may stand together.
    """
    from lfsd.lifelong import LifelongModel
    from store.errors import UsageError

    if live is not None and not live.absolute().parent.is_dir():
        raise UsageError(f"--live {live}: there is no folder {live.parent}", f"mkdir {live.parent}")
    with Narrator(call.out) as narrator, LifelongModel.open(call.home, device=device) as model:
        pictures = model.generate(
            prompt,
            n=n,
            seed=seed,
            steps=steps,
            guidance=guidance,
            guidance_fraction=guidance_fraction,
            negative=negative,
            context=context,
            context_strength=context_strength,
            context_blend=context_blend,
            as_of=as_of,
            on_event=narrator,
            live=live,
        )
    paths = _save(pictures, plan_paths(out, prompt, [picture.seed for picture in pictures]))
    sheet = grid([picture.image for picture in pictures]) if make_grid else None
    document: dict[str, object] = {
        "schema": SCHEMA,
        "images": [
            {"path": str(path), "seed": picture.seed, "concepts": list(picture.concepts)}
            for path, picture in zip(paths, pictures, strict=True)
        ],
    }
    shown = [str(path) for path in paths]
    if sheet is not None:
        where = grid_path(paths)
        sheet.save(where)
        document["grid"] = str(where)
        shown.append(str(where))
    if show:
        preview.show(call.out, sheet or grid([picture.image for picture in pictures]))

    def human() -> None:
        for path in shown:
            call.out.line(path)

    call.out.result(document, human=human, quiet=shown)


def _save(pictures: list["Picture"], paths: list[Path]) -> list[Path]:
    from lfsd.png import save_png

    return [
        save_png(picture.image, picture.provenance, path)
        for picture, path in zip(pictures, paths, strict=True)
    ]
