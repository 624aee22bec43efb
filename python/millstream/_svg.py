"""Charts as inline SVG: no script, no style sheet, no request; colours for light and dark pages."""

import math
from collections.abc import Sequence
from html import escape

# Of middle lightness: to be told apart on white and on black, and by the colour-blind.
COLOURS = ("#4a90d9", "#d98a2b", "#3fa67a", "#c765a3", "#8a7fe0", "#a89a2f")
# More points than this in one line are more than a screen has columns for.
_MOST_POINTS = 400
_PAD = 4


def lines(
    xs: Sequence[float],
    columns: Sequence[Sequence[float]],
    span: tuple[float, float],
    *,
    label: str,
    width: int = 420,
    height: int = 90,
) -> str:
    """Draw columns over x as lines on one scale; where a value is not finite a line is interrupted.

    Args:
        xs: Rising, one per point.
        columns: One per line, each as long as `xs`.
        span: What the width of the chart stands for.
        label: What it shows, for those who do not see it.
        width: Pixels.
        height: Pixels.
    """
    values = [value for column in columns for value in column if math.isfinite(value)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    begin, end = span
    step = max(1, math.ceil(len(xs) / _MOST_POINTS))

    def place(x: float, y: float) -> tuple[float, float]:
        right = _PAD + (width - 2 * _PAD) * (x - begin) / ((end - begin) or 1)
        up = (y - low) / (high - low) if high > low else 0.5
        return right, height - _PAD - (height - 2 * _PAD) * up

    drawn = []
    for column, colour in zip(columns, _colours(len(columns)), strict=True):
        for run in _runs(xs[::step], column[::step]):
            places = [place(x, y) for x, y in run]
            if len(places) == 1:
                (x, y) = places[0]
                drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>')
            else:
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
                drawn.append(
                    f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
                )
    return picture("".join(drawn) + frame(width, height), label, width, height)


def picture(content: str, label: str, width: int, height: int) -> str:
    """Wrap drawn elements into an image that says what it shows."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(label)}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" style="max-width:100%">{content}</svg>'
    )


def frame(width: int, height: int) -> str:
    """Draw the border of a chart."""
    return (
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.25"/>'
    )


def legend(names: Sequence[str]) -> str:
    """Write names in the colours of their lines."""
    pairs = zip(names, _colours(len(names)), strict=True)
    return " ".join(f'<span style="color:{colour}">&#9644;</span> {escape(name)}' for name, colour in pairs)


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _runs(xs: Sequence[float], ys: Sequence[float]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
