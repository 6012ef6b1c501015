"""The short table after `learn`: what is new, what was kept."""

from typing import Any

from lfsd_cli.documents import flat_numbers
from lfsd_cli.output import Output


def print_quick_check(out: Output, metrics: dict[str, Any]) -> None:
    """Print the forgetting check stored with a session, if there is one."""
    numbers = flat_numbers(metrics)
    if not numbers:
        return
    out.line()
    out.line("Forgetting check")
    out.table(["measure", "value"], [(k, f"{v:.3f}") for k, v in numbers.items()], right=["value"])


def print_report(out: Output, report: dict[str, Any]) -> None:
    """Print the whole measurement as tables."""
    numbers = flat_numbers(report)
    out.table(["measure", "value"], [(k, f"{v:.3f}") for k, v in numbers.items()], right=["value"])
