"""A line chart drawn with Pillow: axes that say their numbers, a legend, no smoothing."""

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

SIZE = (960, 540)
LEFT, TOP, RIGHT, BOTTOM = 70, 50, 190, 50
PAPER, INK, FAINT = (255, 255, 255), (40, 40, 40), (222, 222, 222)
COLOURS = (
    (31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (120, 200, 120),
    (240, 170, 170), (0, 0, 0),
)  # fmt: skip

Points = Sequence[tuple[float, float]]


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers that span low..high, some `about` of them."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / about
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def line_chart(title: str, across: str, lines: Mapping[str, Points]) -> Image.Image:
    """Every line's points (x, y) joined in their order; x are whole numbers, such as sessions."""
    points = [point for line in lines.values() for point in line]
    xs = sorted({int(x) for x, _ in points})
    heights = ticks(min(y for _, y in points), max(y for _, y in points))
    font = ImageFont.load_default(13)
    legend = max(RIGHT, 50 + math.ceil(max(map(font.getlength, lines))))
    image = Image.new("RGB", (SIZE[0] - RIGHT + legend, SIZE[1]), PAPER)
    draw = ImageDraw.Draw(image)
    right, floor = SIZE[0] - RIGHT, SIZE[1] - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        span = max(1, xs[-1] - xs[0])
        rise = (y - heights[0]) / (heights[-1] - heights[0])
        return LEFT + (x - xs[0]) / span * (right - LEFT), floor - rise * (floor - TOP)

    draw.text((LEFT, 16), title, fill=INK, font=ImageFont.load_default(16))
    for y in heights:
        height = place(xs[0], y)[1]
        draw.line([(LEFT, height), (right, height)], fill=FAINT)
        draw.text((LEFT - 8, height), f"{y:g}", fill=INK, font=font, anchor="rm")
    every = max(1, len(xs) // 15)
    for x in xs[::every]:
        draw.text((place(x, heights[0])[0], floor + 8), str(x), fill=INK, font=font, anchor="mt")
    draw.text(((LEFT + right) / 2, SIZE[1] - 10), across, fill=INK, font=font, anchor="mb")
    draw.line([(LEFT, TOP), (LEFT, floor), (right, floor)], fill=INK)
    for i, (name, line) in enumerate(lines.items()):
        colour, hollow = COLOURS[i % len(COLOURS)], i >= len(COLOURS)
        spots = [place(x, y) for x, y in line]
        if len(spots) > 1:
            draw.line(spots, fill=colour, width=2)
        for spot in spots:
            draw.circle(spot, 3.5, fill=PAPER if hollow else colour, outline=colour)
        here = (right + 16, TOP + 8 + 20 * i)
        draw.line([here, (here[0] + 18, here[1])], fill=colour, width=2)
        middle = (here[0] + 9, here[1])
        draw.circle(middle, 3.5, fill=PAPER if hollow else colour, outline=colour)
        draw.text((here[0] + 26, here[1]), name, fill=INK, font=font, anchor="lm")
    return image
