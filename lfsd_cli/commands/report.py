"""`lfsd report`: what was kept and what was forgotten."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import ExitCode
from lfsd_cli.forgetting import print_report
from lfsd_cli.progress import Narrator

if TYPE_CHECKING:
    from lfsd.lifelong import LifelongModel
    from lfsd_cli.report_page import Gallery
    from store.records import Concept, Session

# A page of hundreds of pictures would take hours to draw: the newest concepts have some.
SHOWN_CONCEPTS = 12
SHOWN_PICTURES = 2


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "report",
        examples=[
            "lfsd report",
            "lfsd report --quick",
            "lfsd report --html report.html     one page with plots and pictures, for a browser",
            "lfsd report --json > report.json",
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
    )(report)


def report(
    call: Call,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer pictures, rougher numbers.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write one self-contained page."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")
    ] = False,
) -> None:
    """Measure what was kept and what was forgotten.

    Every concept after every session, with fixed seeds. Fidelity: how much the pictures look like
    the photos. Text alignment: how well they follow the prompt. PCF: what earlier concepts lost
    since they were learned. RCF: how far plain class nouns drifted toward the concepts or away
    from the base. Taken for: whose photo is nearest, where it is another concept's.
    """
    from lfsd.lifelong import LifelongModel

    if html is not None:
        _check_place(html)
    with Narrator(call.out) as narrator, LifelongModel.open(call.home, device=device) as model:
        measured = model.measure(quick=quick, on_event=narrator).to_dict()
        if html is not None:
            _write_page(html, measured, model, narrator)
    document: dict[str, object] = {"schema": SCHEMA, "report": measured}
    if html is not None:
        document["html"] = str(html)

    def human() -> None:
        print_report(call.out, measured)
        if html is not None:
            call.out.line(html)

    call.out.result(document, human=human, quiet=[] if html is None else [html])


def _check_place(html: Path) -> None:
    """Refuse a place for the page before minutes are spent measuring."""
    from store.errors import UsageError

    if html.is_dir():
        raise UsageError(f"{html} is a folder", "name a file: --html report.html")
    if not html.parent.is_dir():
        raise UsageError(f"{html.parent} is no folder", "make it first, or name another file")


def _write_page(
    html: Path, measured: dict[str, Any], model: "LifelongModel", narrator: Narrator
) -> None:
    from lfsd_cli.report_page import page, write

    narrator.say("drawing pictures for the page")
    concepts = model.concepts()
    learned = {session.id: session for session in model.sessions()}
    galleries = [
        _draw(model, narrator, concept, learned[concept.session], measured["plan"])
        for concept in concepts[-SHOWN_CONCEPTS:]
    ]
    text = page(
        measured,
        base=model.store.base.id,
        when=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        nouns={concept.token: concept.class_noun for concept in concepts},
        galleries=galleries,
    )
    write(html, text)


def _draw(
    model: "LifelongModel",
    narrator: Narrator,
    concept: "Concept",
    learned: "Session",
    plan: dict[str, Any],
) -> "Gallery":
    """Pictures of a concept as it was when learned and as it is now, from the same seeds."""
    from lfsd_cli.report_page import Gallery

    then = learned.concept.token if learned.concept else concept.token
    moments = [(then, learned.id, f"session {learned.number}"), (concept.token, "HEAD", "now")]
    pictures = [
        (picture.image, f"{moment}, seed {picture.seed}")
        for token, session, moment in moments
        for picture in model.generate(
            f"a photo of a {token} {concept.class_noun}",
            n=SHOWN_PICTURES,
            seed=int(plan["seed"]),
            steps=int(plan["steps"]),
            guidance=float(plan["guidance"]),
            guidance_fraction=plan["guidance_fraction"],
            context_blend=float(plan["context_blend"]),
            as_of=session,
            on_event=narrator,
        )
    ]
    return Gallery(f"{concept.token}: a {concept.class_noun}", pictures)
