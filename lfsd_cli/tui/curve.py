"""A line chart in braille dots: two by four dots a cell, so that a loss curve fits a few rows."""

from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text
from textual.widgets import Static

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def thin(values: Sequence[float], count: int) -> list[float]:
    """At most `count` values: means of equal stretches, so that nothing is left out."""
    if len(values) <= count:
        return list(values)
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges) if b > a]


def smoothed(values: Sequence[float], share: float = 0.1) -> list[float]:
    """The running mean to which each new value adds its `share`: single steps' losses scatter."""
    found: list[float] = []
    for value in values:
        found.append(value if not found else found[-1] + share * (value - found[-1]))
    return found


def braille(values: Sequence[float], width: int, height: int, low: float, high: float) -> list[str]:
    """`height` rows of at most `width` cells; `low` is the bottom, `high` the top."""
    points = thin(values, 2 * width)
    cells = [[0] * width for _ in range(height)]
    span = (high - low) or 1.0
    for x, value in enumerate(points):
        share = min(1.0, max(0.0, (value - low) / span))
        y = round((1 - share) * (4 * height - 1))
        cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    return ["".join(chr(0x2800 + cell) for cell in row) for row in cells]


class LossCurve(Static):
    """The loss on the photos, and below it that of distillation: running means, each on its own
    scale."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self.losses: list[tuple[float, float]] = []

    def show(self, losses: list[tuple[float, float]]) -> None:
        """Draw the curve of all steps so far: (photos, distillation) each."""
        self.losses = losses
        if not losses or not self.size.area:
            self.update("")
            return
        text = Text()
        kept = any(kd for _, kd in losses)
        room = max(1, self.size.height // (2 if kept else 1) - 1)
        self._one(text, "loss, photos", [dm for dm, _ in losses], room, "green")
        if kept:
            self._one(text, "loss, teacher", [kd for _, kd in losses], room, "magenta")
        self.update(text)

    def _one(self, text: Text, name: str, values: list[float], rows: int, style: str) -> None:
        values = smoothed(values)
        low, high = min(values), max(values)
        text.append(f"{name} {values[-1]:.4f} ({low:.4f} to {high:.4f})\n", style="bold")
        for row in braille(values, self.size.width, rows, low, high):
            text.append(f"{row}\n", style=style)

    def on_resize(self) -> None:
        """Fit the new room."""
        self.show(self.losses)
