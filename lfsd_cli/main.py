"""The `lfsd` program: global options, the commands, and the one place where errors end."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lfsd_cli.context import Globals, HomeOption, JsonOption, QuietOption, VerboseOption
from lfsd_cli.errors import ExitCode, describe

_EPILOG = """\
\b
EXAMPLES
  lfsd demo                                      see all of it in a few minutes
  lfsd learn ./photos --token V1 --class cat     teach it your cat
  lfsd gen "a V1 cat on a beach"                 draw your cat
  lfsd ls                                        what it knows

\b
EXIT STATUS
  0 ok, 1 failed, 2 usage, 3 partly done, 4 not found, 5 store busy, 6 store corrupt,
  7 out of disk or memory, 8 base model not to be had, 130 interrupted.
  Each command's help lists its own.

\b
ENVIRONMENT
  LFSD_HOME    folder of the store, if --home is not given
  LFSD_DEBUG   set to 1 to see tracebacks
  LFSD_PREVIEW pictures in the terminal: auto (the default), kitty, sixel, half or off
  NO_COLOR     no colours
"""


def build(verb: str | None = None) -> typer.Typer:
    """The Typer app with every command registered, or with `verb` alone, which starts faster."""
    # Rich help panels cost start-up time and rewrap examples; plain help reads like a manual page.
    app = typer.Typer(
        name="lfsd",
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    from lfsd_cli.commands import register

    register(app, verb)
    return app


def _verb(argv: Sequence[str]) -> str | None:
    """The command that a line asks for: the first word that is neither an option nor its value."""
    words = iter(argv)
    for word in words:
        if word in ("-h", "--help"):
            return None
        if word == "--home":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _show_version(wanted: bool) -> None:
    if wanted:
        from lfsd import __version__

        typer.echo(f"lfsd {__version__}")
        raise typer.Exit()


def _global_options(
    ctx: typer.Context,
    home: HomeOption = None,
    json_mode: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Teach one text-to-image model new subjects for life, a few photos at a time."""
    ctx.obj.merge({"home": home, "json_mode": json_mode, "quiet": quiet, "verbose": verbose})


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; never raises for an expected failure."""
    argv = list(sys.argv[1:] if args is None else args)
    state = Globals(argv=tuple(argv))
    # Known before parsing, so that a wrong option is reported in the mode that was asked for too.
    state.merge({"json_mode": "--json" in argv, "log_json": "--log-json" in argv})
    try:
        returned = typer.main.get_command(build(_verb(argv))).main(
            argv, prog_name="lfsd", standalone_mode=False, obj=state
        )
        if returned == ExitCode.INTERRUPTED:  # how Typer answers a KeyboardInterrupt
            raise KeyboardInterrupt
        return int(returned or ExitCode.OK)
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("LFSD_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(str(error), err=True)
            return ExitCode.USAGE
        failure = describe(error)
        state.output.failure(failure)
        return failure.exit_code


def entry() -> None:
    """The console script."""
    sys.exit(main())
