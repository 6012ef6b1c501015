"""`lfsd show`: everything about one concept."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lfsd_cli import completion, preview
from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA, concept_detail, figures, local_time
from lfsd_cli.errors import ExitCode
from lfsd_cli.portrait import kept, preview_of, readable
from lfsd_cli.text import human_bytes, human_seconds, plural
from store.errors import LfsdError

if TYPE_CHECKING:
    from PIL.Image import Image

    from store.records import Concept
    from store.store import Store


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "show",
        examples=["lfsd show V1", "lfsd show V1 --json"],
        exits=[ExitCode.OK, ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.CORRUPT],
    )(show)


def show(
    call: Call,
    token: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN", help="The concept's token.", autocompletion=completion.tokens
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="SESSION",
            help="As of a session.",
            autocompletion=completion.sessions,
        ),
    ] = None,
) -> None:
    """Show one concept: photos, contexts, numbers."""
    from store.store import Store

    with Store.open(call.home) as store:
        concept = store.concept(token, at)
        learned = store.session(concept.session)
        detail = concept_detail(store, concept, learned, {learned.id: learned.number})
        picture = _picture(call, store, concept) if call.out.live else None
    call.out.result(
        {"schema": SCHEMA, "concept": detail},
        human=lambda: _human(call, detail, picture),
        quiet=[detail["token"]],
    )


def _picture(call: Call, store: "Store", concept: "Concept") -> "Image | None":
    """The photo kept of it, else how it looked while it was learned; an ornament may be missing."""
    photo = None
    try:
        photo = kept(store, concept)
    except LfsdError as error:
        call.out.warn(f"its photo cannot be shown: {error.message}")
    return photo or readable(preview_of(store.home, concept.id))


def _human(call: Call, detail: dict[str, Any], picture: "Image | None") -> None:
    out = call.out
    out.line(f"{detail['token']}: a {detail['class']}")
    out.line()
    facts = [
        ("learned", f"session {detail['session']}, {local_time(detail['created'])}"),
        ("took", f"{human_seconds(detail['seconds'])}, {detail['settings'].get('steps')} steps"),
        ("photos", f"{detail['photos']}: " + ", ".join(p["name"] for p in detail["photo_files"])),
        ("contexts", f"{detail['contexts']}: " + ", ".join(detail["context_photos"])),
        ("size", human_bytes(detail["bytes"])),
    ]
    if detail["refused"]:
        facts.append(("refused", plural(len(detail["refused"]), "file")))
    facts += [("", f"{entry['file']}: {entry['reason']}") for entry in detail["refused"]]
    out.table(["", ""], facts, styles=lambda _row, column: "dim" if column == 0 else "")
    if picture is not None:
        preview.show(out, picture)
    measured = figures(detail["metrics"], detail["learned_as"], detail["class"])
    if measured:
        out.line()
        out.line("Measured when it was learned")
        out.table(["", ""], measured)
    out.note()
    out.note(f'draw it: lfsd gen "a {detail["token"]} {detail["class"]} on a beach"')
