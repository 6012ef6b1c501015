"""A picture in the terminal, beside what a command says."""

from typing import TYPE_CHECKING

from lfsd_cli.graphics import kind, renderable
from lfsd_cli.output import Output

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_COLUMNS = 64


def show(out: Output, picture: "Image") -> None:
    """Draw `picture` on stderr if that is a terminal with colours; else nothing."""
    if not out.live:
        return
    from store.errors import UsageError

    console = out.progress_console()
    try:
        how = kind()
    except UsageError as error:  # the picture is drawn and saved: no reason to fail
        out.warn(f"{error.message}: {error.hint}")
        return
    if console.color_system is None or how == "off":  # NO_COLOR, or a terminal that cannot
        return
    columns = min(console.width, MAX_COLUMNS, 2 * (console.height - 4))
    if columns >= 8:
        console.print(renderable(picture, columns, how))
