"""The demo's two faces: a live screen in a terminal, plain lines anywhere else."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from millstream._demo.score import Prediction, Score

VERDICT_STYLES = {"right": "green", "wrong": "bold red", "not scored": "dim"}
PLAIN_PREDICTIONS = 2
"""Watches in a plain report, which comes once a second."""


@dataclass(frozen=True)
class Progress:
    """One moment of the run, as both screens show it."""

    elapsed: float
    sent: int
    consumed: int
    lag: int
    rate: float
    score: Score

    def facts(self) -> dict[str, str]:
        """Return the headline figures, named."""
        return {
            "readings": f"{self.consumed:,} of {self.sent:,} sent",
            "windows": f"{self.score.windows:,}",
            "windows/s": f"{self.rate:,.0f}",
            "lag": f"{self.lag:,}",
            "accuracy": self.score.accuracy,
        }

    def predictions(self) -> list[Prediction]:
        """Return the latest prediction of every watch, in the order of the watches."""
        return [found for _, found in sorted(self.score.latest.items())]


class Screen(Protocol):
    """Where the demo shows itself."""

    interval: float
    """Seconds between two calls of `show`."""

    def say(self, line: str) -> None:
        """Print a line that stays."""

    def show(self, progress: Progress) -> None:
        """Show the state of the run."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class LiveScreen:
    """Redraws one table in place."""

    interval = 0.25

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def say(self, line: str) -> None:
        """Print a line above the table."""
        self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """Redraw figures and table."""
        rows = max(1, self._live.console.height - 12)  # what banner, figures and summary leave
        self._live.update(render(progress, rows), refresh=True)

    def close(self) -> None:
        """Leave the last drawing on the screen."""
        self._live.stop()


class PlainScreen:
    """Prints a line of figures and what the first watches are doing."""

    interval = 1.0

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """Print one report."""
        figures = " | ".join(f"{name} {value}" for name, value in progress.facts().items())
        self.say(f"{progress.elapsed:5.1f} s | {figures}")
        for found in progress.predictions()[:PLAIN_PREDICTIONS]:
            self.say(
                f"  {found.watch} {span(found)} predicted {found.activity} ({found.score:.2f}),"
                f" truth {found.truth.activity}: {found.verdict}"
            )

    def close(self) -> None:
        """Has nothing to restore."""


def render(progress: Progress, rows: int) -> RenderableType:
    """Draw the figures and at most so many watches, each with its latest prediction."""
    figures = Table.grid(padding=(0, 2))
    for name, value in progress.facts().items():
        figures.add_row(Text(name, style="bold"), value)

    latest = progress.predictions()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in ("watch", "window", "predicted", "score", "truth", ""):
        table.add_column(column, justify="right" if column == "score" else "left", no_wrap=True)
    for found in latest[:rows]:
        verdict = Text(found.verdict, style=VERDICT_STYLES[found.verdict])
        row = (found.watch, span(found), found.activity, f"{found.score:.2f}", found.truth.activity)
        table.add_row(*row, verdict)
    more = Text(f"and {len(latest) - rows} more" if len(latest) > rows else "", style="dim")
    return Group(figures, table, more)


def span(found: Prediction) -> str:
    """Write a window as times of day, in UTC."""
    start, end = (datetime.fromtimestamp(bound / 1000, UTC) for bound in (found.start, found.end))
    return f"{start:%H:%M:%S}-{end:%H:%M:%S}"
