"""`lfsd doctor`: is everything here that lfsd needs, and what would be slow?"""

from typing import Annotated, Any

import typer

from lfsd_cli.context import Call, register
from lfsd_cli.documents import SCHEMA
from lfsd_cli.errors import ExitCode
from lfsd_cli.text import human_bytes, plural


def add(app: typer.Typer) -> None:
    """Register the command."""
    register(
        app,
        "doctor",
        examples=["lfsd doctor", "lfsd doctor --json", "lfsd doctor --home ./my-store"],
        exits=[ExitCode.OK, ExitCode.USAGE, ExitCode.CORRUPT, ExitCode.MODEL],
    )(doctor)


def doctor(
    call: Call,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Check the installation, the machine, the base and the store.

    Says what would be slow and why. Changes nothing; the store's blobs are not re-read.
    """
    from lfsd_cli import health

    machine, store = health.machine(device), health.store(call.home)
    base, versions = health.base(store), health.versions()
    slow = health.slow(machine, base, store)
    call.out.result(
        {
            "schema": SCHEMA,
            "versions": versions,
            "machine": machine,
            "base": base,
            "store": store,
            "slow": slow,
        },
        human=lambda: _human(call, versions, machine, base, store, slow),
        quiet=[*store["problems"], *filter(None, [base.get("problem")])],
    )
    if store["problems"]:
        raise typer.Exit(ExitCode.CORRUPT)
    if "problem" in base:
        raise typer.Exit(ExitCode.MODEL)


def _human(
    call: Call,
    versions: dict[str, str],
    machine: dict[str, Any],
    base: dict[str, Any],
    store: dict[str, Any],
    slow: list[str],
) -> None:
    memory = human_bytes(machine["memory"])
    threads = f", {plural(machine['threads'], 'thread')}" if "threads" in machine else ""
    facts = [
        ("versions", ", ".join(f"{name} {number}" for name, number in versions.items())),
        ("machine", machine["platform"]),
        ("device", f"{machine['device']}: {machine['name']}, {memory}{threads}"),
        ("precision", machine["precision"]),
        ("base", base.get("problem") or f"{base['id']}, {base['pixels']} pixels"),
        ("store", _store(store)),
        ("disk", f"{human_bytes(store['disk_free'])} free"),
    ]
    facts += [("problem", problem) for problem in store["problems"]]
    facts += [("slow", reason) for reason in slow]
    colours = {"problem": "bold red", "slow": "yellow"}
    call.out.table(
        ["", ""],
        facts,
        styles=lambda row, column: colours.get(facts[row][0], "" if column else "dim"),
    )
    if store["problems"]:
        call.out.note("put damaged files back from a backup; `lfsd ls` shows what can be read")
    elif "problem" not in base:
        call.out.note("everything needed is here")


def _store(store: dict[str, Any]) -> str:
    if not store["exists"]:
        return f"none in {store['home']} yet; the first lfsd learn makes one"
    if "sessions" not in store:
        return f"{store['home']} cannot be read"
    known = f"{plural(store['concepts'], 'concept')}, session {store['sessions']}"
    busy = f", being written by {store['writer']}" if store["writer"] else ""
    return f"{store['home']}: {known}, {human_bytes(store['bytes'])}{busy}"
