"""Text for a terminal: columns, times, and what others have written, without its control characters."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return a line for each row, in columns two spaces apart.

    Args:
        rows: All of one length.
        left: How many columns, from the first on, begin at the left; the others end at the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def printable(text: str) -> str:
    """Return a text from anywhere with escapes in place of what would steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def moment(ms: int) -> str:
    """Return a time in ms since 1970 as RFC 3339; as it is where no calendar has it."""
    try:
        return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return f"{ms} ms"
