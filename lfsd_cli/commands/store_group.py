"""`lfsd store ...`: looking after the folder that holds everything learned."""

import typer

_EPILOG = """\
\b
EXAMPLES
  lfsd store verify --data                 is everything there, bit for bit?
  lfsd store info                          what it is made of, and how large
  lfsd store backup /media/usb/lfsd        one consistent copy, while learning goes on
  lfsd store gc --dry-run                  what is no longer needed
  lfsd store repair --dry-run              what could be put right

\b
EXIT STATUS
  0 ok, 2 usage, 4 no store there, 5 store busy, 6 store corrupt, 7 out of disk or memory.
  Each command's help lists its own.
"""


def add(app: typer.Typer) -> None:
    """Register the group and its commands."""
    from lfsd_cli.commands import store_keep, store_look, store_mend, store_room

    group = typer.Typer(
        name="store",
        help="Look after the store: check, copy, repair, make room.",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for commands in (store_look, store_keep, store_room, store_mend):
        commands.add(group)
    app.add_typer(group)
