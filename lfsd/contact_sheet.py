"""One picture of exactly what the model will see: every crop, its mask, and what was refused."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lfsd.photos import PreparedPhoto
from store.records import Refusal

CELL = 192
GAP = 12
LINE = 18
PAPER = (250, 250, 248)
INK = (40, 40, 40)
WARN = (170, 60, 30)
MAX_REFUSED = 12


def contact_sheet(photos: Sequence[PreparedPhoto], refused: Sequence[Refusal]) -> Image.Image:
    """RGB sheet: the crops in the top row of each pair, below them the part taken for the subject.

    The background is dimmed in the lower picture by the mask that weights the loss.
    """
    columns = max(1, min(5, len(photos)))
    rows = -(-len(photos) // columns)
    lines = _refusal_lines(refused)
    cell_height = 2 * CELL + LINE + 2 * GAP
    width = max(columns * (CELL + GAP) + GAP, 420 if lines else 0)
    height = rows * cell_height + GAP + len(lines) * LINE + (GAP if lines else 0)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for i, photo in enumerate(photos):
        x = GAP + (i % columns) * (CELL + GAP)
        y = GAP + (i // columns) * cell_height
        sheet.paste(photo.image.resize((CELL, CELL), Image.Resampling.LANCZOS), (x, y))
        sheet.paste(dimmed(photo).resize((CELL, CELL), Image.Resampling.LANCZOS), (x, y + CELL + 2))
        _text(draw, (x, y + 2 * CELL + 5), f"{i + 1}. {photo.name}", INK, font, CELL)
    for i, line in enumerate(lines):
        y = GAP + rows * cell_height + i * LINE
        _text(draw, (GAP, y), line, WARN, font, width - 2 * GAP)
    return sheet


def dimmed(photo: PreparedPhoto) -> Image.Image:
    """The crop with everything but the subject faded to grey."""
    pixels = np.asarray(photo.image, dtype=np.float32)
    grey = pixels.mean(axis=-1, keepdims=True) * 0.25 + 170
    mask = photo.mask[..., None]
    return Image.fromarray((pixels * mask + grey * (1 - mask)).clip(0, 255).astype(np.uint8))


def _refusal_lines(refused: Sequence[Refusal]) -> list[str]:
    lines = [f"not used: {r.file}: {r.reason}" for r in refused[:MAX_REFUSED]]
    if len(refused) > MAX_REFUSED:
        lines.append(f"and {len(refused) - MAX_REFUSED} more")
    return lines


def _text(
    draw: ImageDraw.ImageDraw,
    spot: tuple[int, int],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    room: int,
) -> None:
    """Draw on one line, cut to `room` pixels."""
    # The built-in font knows Latin only; anything else would draw as boxes or fail.
    text = text.encode("latin-1", "replace").decode("latin-1")
    short = text
    while len(short) > 4 and draw.textlength(short, font=font) > room:
        short = short[:-4] + "..." if not short.endswith("...") else short[:-5] + "..."
    draw.text(spot, short, fill=colour, font=font)
