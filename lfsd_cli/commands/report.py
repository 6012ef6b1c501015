"""`lfsd report`: what was kept and what was forgotten."""

from typing import Annotated

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import ExitCode
from lfsd_cli.forgetting import print_report
from lfsd_cli.progress import Narrator


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "report",
        examples=["lfsd report", "lfsd report --quick", "lfsd report --json > report.json"],
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
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")
    ] = False,
) -> None:
    """Measure what was kept and what was forgotten.

    Every concept after every session, with fixed seeds. Fidelity: how much the pictures look like
    the photos. Text alignment: how well they follow the prompt. PCF: what earlier concepts lost
    since they were learned. RCF: how far plain class nouns drifted toward the concepts or away
    from the base. Confusion: which concept a picture looks like.
    """
    from lfsd.lifelong import LifelongModel

    with Narrator(call.out) as narrator, LifelongModel.open(call.home, device=device) as model:
        measured = model.measure(quick=quick, on_event=narrator).to_dict()
    call.out.result(
        {"schema": SCHEMA, "report": measured},
        human=lambda: print_report(call.out, measured),
        quiet=[],
    )
