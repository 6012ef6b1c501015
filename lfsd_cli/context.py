"""What every command gets: the folder, the sink, and the options that may stand anywhere."""

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from lfsd_cli.errors import MEANING, ExitCode
from lfsd_cli.output import Mode, Output

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Folder of the store (default: $LFSD_HOME)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Bare values, no narration.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")]

# The same four stand before or after the verb: `lfsd --json ls` and `lfsd ls --json`.
_COMMON: dict[str, tuple[Any, Any]] = {
    "home": (HomeOption, None),
    "json_mode": (JsonOption, False),
    "quiet": (QuietOption, False),
    "verbose": (VerboseOption, False),
}


@dataclass
class Globals:
    """The common options as given so far; `merge` lets those after the verb add to those before."""

    home: Path | None = None
    json_mode: bool = False
    quiet: bool = False
    verbose: bool = False
    log_json: bool = False
    argv: tuple[str, ...] = ()
    output: Output = field(default_factory=Output)

    def merge(self, given: dict[str, Any]) -> None:
        """Add options; a later `--home` wins."""
        self.home = given.get("home") or self.home
        self.json_mode |= bool(given.get("json_mode"))
        self.quiet |= bool(given.get("quiet"))
        self.verbose |= bool(given.get("verbose"))
        self.log_json |= bool(given.get("log_json"))
        mode = Mode.JSON if self.json_mode else Mode.QUIET if self.quiet else Mode.HUMAN
        # The one Output object stays, so that main() reports a failure in the mode asked for.
        self.output.mode = mode
        self.output.verbose = self.verbose
        self.output.log_json = self.log_json
        self.output.silent = os.environ.get("RANK", "0") not in ("", "0")


@dataclass(frozen=True)
class Call:
    """One invocation, as a command body sees it."""

    home: Path
    out: Output
    argv: tuple[str, ...] = ()


def default_home() -> Path:
    """`$LFSD_HOME`, else the platform's own place for a user's data."""
    named = os.environ.get("LFSD_HOME")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("lfsd", appauthor=False)


def register(
    app: typer.Typer,
    name: str,
    *,
    examples: Iterable[str],
    exits: Iterable[ExitCode],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make `body(call, ...)` the command `name`, with the common options and a full help text."""

    def decorate(body: Callable[..., None]) -> Callable[..., None]:
        run = _with_common_options(body)
        epilog = _epilog(examples, exits)
        app.command(name, help=inspect.getdoc(body), epilog=epilog, no_args_is_help=False)(run)
        return body

    return decorate


def _with_common_options(body: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(body)
    own = list(signature.parameters.values())[1:]

    @wraps(body)
    def run(*, ctx: typer.Context, **given: Any) -> None:
        common: Globals = ctx.find_root().obj
        common.merge(
            {name: given.pop(name) for name in _COMMON} | {"log_json": given.get("log_json")}
        )
        home = common.home.expanduser() if common.home else default_home()
        body(Call(home=home, out=common.output, argv=common.argv), **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in _COMMON.items()
    ]
    context = inspect.Parameter("ctx", keyword, annotation=typer.Context)
    parameters = [context, *(p.replace(kind=keyword) for p in own), *added]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _epilog(examples: Iterable[str], exits: Iterable[ExitCode]) -> str:
    # A line with a lone backspace keeps the help formatter from rewrapping what follows.
    shown = "\n".join(f"  {example}" for example in examples)
    codes = "\n".join(f"  {int(code):<4} {MEANING[code]}" for code in exits)
    return f"\b\nEXAMPLES\n{shown}\n\n\b\nEXIT STATUS\n{codes}"
