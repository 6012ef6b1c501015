"""Two small plots as inline SVG text; every word in them is escaped."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, EDGE = 720, 260, 36
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")


def lines(series: Mapping[str, Sequence[tuple[int, float]]], title: str) -> str:
    """(session, value) series as lines over the sessions; values between 0 and 1."""
    numbers = sorted({x for points in series.values() for x, _ in points})
    if not numbers:
        return ""
    low, high = numbers[0], max(numbers[-1], numbers[0] + 1)

    def place(x: int, y: float) -> tuple[float, float]:
        across = EDGE + (x - low) / (high - low) * (WIDTH - 2 * EDGE)
        return round(across, 1), round(HEIGHT - EDGE - min(1, max(0, y)) * (HEIGHT - 2 * EDGE), 1)

    parts = [_axis(place(low, y)[1], f"{y:.1f}") for y in (0.0, 0.25, 0.5, 0.75, 1.0)]
    step = -(-len(numbers) // 24)
    parts += [_below(place(x, 0)[0], str(x)) for x in numbers[::step]]
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join("{},{}".format(*place(*point)) for point in points)
        tip = f"<title>{escape(name)}</title>"
        stroke = f'stroke="{colour}" fill="none" stroke-width="2"'
        parts.append(f'<g {stroke}>{tip}<polyline points="{path}"/></g>')
        for x, y in (place(*point) for point in points):
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}">{tip}</circle>')
    return _svg("".join(parts), HEIGHT, title)


def bars(values: Mapping[str, float], title: str) -> str:
    """One horizontal bar a name, as long as its value; the figure behind it."""
    if not values:
        return ""
    largest = max((abs(value) for value in values.values()), default=0) or 1
    parts = []
    for i, (name, value) in enumerate(values.items()):
        y, length = 8 + i * 24, abs(value) / largest * (WIDTH - 260)
        colour = COLOURS[3] if value > 0 else COLOURS[2]
        parts.append(f'<text x="150" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="160" y="{y}" width="{length:.1f}" height="16" fill="{colour}"/>'
            f'<text x="{168 + length:.1f}" y="{y + 13}">{value:+.4f}</text>'
        )
    return _svg("".join(parts), 16 + 24 * len(values), title)


def _svg(inside: str, height: int, title: str) -> str:
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{inside}</svg>"
    )


def _axis(y: float, text: str) -> str:
    return (
        f'<line x1="{EDGE}" y1="{y}" x2="{WIDTH - EDGE}" y2="{y}" class="grid"/>'
        f'<text x="{EDGE - 6}" y="{y + 4}" text-anchor="end">{text}</text>'
    )


def _below(x: float, text: str) -> str:
    return f'<text x="{x}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{text}</text>'
