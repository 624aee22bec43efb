"""What `millstream run` shows in a terminal: figures of models and partitions, the last log lines beneath."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from millstream.cli._screen import Metrics, Screen

_EVERY_S = 0.25
# Rates are those of the last seconds: steady enough to be read, quick enough to be believed.
_RATE_S = 5.0
_LOG_LINES = 6
# What headings, log lines and the space between them take of the height of the terminal.
_AROUND = 12
_LEVEL_STYLES = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "bold red"}
_STATES = {None: "waiting", True: "caught up", False: "reading"}


class Tail(logging.Handler):
    """Keeps the last log lines; a warning or an error that they push out is told to `lost`, not forgotten."""

    def __init__(self, lost: Callable[[Text], None]) -> None:
        super().__init__()
        self._lost = lost
        self._lines: deque[tuple[int, Text]] = deque()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line in; what has several, as a traceback does, goes above the figures at once."""
        line = Text(self.format(record), style=_LEVEL_STYLES.get(record.levelno, ""))
        if "\n" in line.plain:
            self._lost(line)
            return
        self._lines.append((record.levelno, line))
        if len(self._lines) > _LOG_LINES:
            level, line = self._lines.popleft()
            if level >= logging.WARNING:
                self._lost(line)

    def lines(self) -> list[Text]:
        """Return what there is, the latest last and in full."""
        lines = [line.copy() for _, line in self._lines]
        for line in lines[:-1]:
            line.no_wrap, line.overflow = True, "ellipsis"
        return lines


class LiveScreen(Screen):
    """Redraws the state of the run in place.

    Args:
        console: A terminal.
        metrics: Returns the counters of the run.
        clock: Returns seconds that never go back.
        wall: Returns seconds since the epoch.
    """

    def __init__(
        self,
        console: Console,
        metrics: Callable[[], Metrics],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(console, metrics, clock)
        self._wall = wall
        self._workers: dict[str, int] = {}
        self._drawn = float("-inf")
        self._samples: deque[tuple[float, Metrics]] = deque()
        self._tail = Tail(self._print)
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._redirected: list[tuple[logging.StreamHandler[Any], Any]] = []

    def log_handler(self) -> logging.Handler:
        """Return what shows log lines beneath the figures."""
        self._tail.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        )
        return self._tail

    def banner(self, plan: Mapping[str, Any]) -> None:
        """Print what is about to run, and begin to draw below it."""
        super().banner(plan)
        self._workers = {model["name"]: model["workers"] for model in plan["models"]}
        before = (sys.stderr, sys.stdout)
        self._live.start()
        for handler in _stream_handlers():
            if handler.stream in before:
                # The user's own log lines then scroll above the figures, not through them.
                self._redirected.append((handler, handler.stream))
                handler.setStream(sys.stderr)

    def tick(self) -> None:
        """Redraw when it is time to."""
        now = self._clock()
        if now - self._drawn >= _EVERY_S:
            self._drawn = now
            self._live.update(self.picture(), refresh=True)

    def close(self) -> None:
        """Draw once more, and give the terminal back."""
        if self._live.is_started:
            self._live.update(self.picture(), refresh=True)
            for handler, stream in self._redirected:
                handler.setStream(stream)
            self._redirected.clear()
            self._live.stop()

    def picture(self) -> RenderableType:
        """Return the state of the run."""
        now, metrics = self._clock(), self._metrics()
        self._samples.append((now, metrics))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _RATE_S:
            self._samples.popleft()
        began, before = self._samples[0]
        return Group(
            self._headline(metrics, before, now - began),
            self._models(metrics, before, now - began),
            self._partitions(metrics),
            *self._tail.lines(),
        )

    def _headline(self, metrics: Metrics, before: Metrics, elapsed: float) -> Text:
        parts = [
            f"{self._clock() - self._began:,.0f} s",
            f"{metrics['consumed']:,} events ({_rate(metrics['consumed'] - before['consumed'], elapsed)}/s)",
            f"{metrics['windows']:,} windows ({_rate(metrics['windows'] - before['windows'], elapsed)}/s)",
            f"late {metrics['late_pairs']:,}",
            f"dead letters {metrics['dead_letters']:,}",
            f"in flight {_bytes(metrics['inflight_bytes'])}",
            f"commit p99 {_seconds(metrics['commit_seconds_p99'])}",
        ]
        line = Text("  ".join(parts), style="bold")
        return line.append("\npaused: models are behind", "yellow") if metrics["paused"] else line

    def _models(self, metrics: Metrics, before: Metrics, elapsed: float) -> Table:
        figures = ("events/s", "windows/s", "late", "dead", "open", "batch", "p50", "p99", "busy")
        table = _table("model", figures)
        for name, model in metrics["models"].items():
            then = before["models"][name]
            # Where each event is scored, it is a window of its own.
            events = "windows_closed" if "scored" in model else "events"
            table.add_row(
                name,
                _rate(model[events] - then[events], elapsed),
                _rate(model["windows_produced"] - then["windows_produced"], elapsed),
                f"{model['late_pairs']:,}",
                f"{sum(model['dead_letters'].values()):,}",
                f"{model['windows_open']:,}",
                _count(model["batch_windows_p50"]),
                _seconds(model["predict_seconds_p50"]),
                _seconds(model["predict_seconds_p99"]),
                f"{model['pool_busy']}/{self._workers.get(name, 1)}",
            )
        return table

    def _partitions(self, metrics: Metrics) -> RenderableType:
        table = _table("partition", ("lag", "clock delay", "events", "keys", "bytes", "state"))
        # The furthest behind first: they are why someone looks.
        rows = sorted(_partitions(metrics), key=lambda row: -(row[1]["lag"] or 0))
        room = max(1, self._console.height - _AROUND - len(metrics["models"]) - _LOG_LINES)
        for name, gauges in rows[:room]:
            lag, clock = gauges["lag"], gauges["clock"]
            table.add_row(
                name,
                "unknown" if lag is None else f"{lag:,}",
                "" if clock is None else _seconds(max(0.0, self._wall() - clock / 1_000)),
                f"{gauges['events']:,}",
                f"{gauges['keys']:,}",
                _bytes(gauges["state_bytes"]),
                _STATES[None if lag is None else lag == 0],
            )
        if not rows:
            return Text("no partition assigned yet", style="dim")
        more = Text(f"and {len(rows) - room} more", style="dim")
        return Group(table, more) if len(rows) > room else table


def _partitions(metrics: Metrics) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for topic, source in metrics["sources"].items():
        for partition, gauges in source["partitions"].items():
            yield f"{topic} [{partition}]", gauges


def _stream_handlers() -> Iterator["logging.StreamHandler[Any]"]:
    for logger in (logging.getLogger(), logging.getLogger("millstream")):
        yield from (handler for handler in logger.handlers if type(handler) is logging.StreamHandler)


def _table(first: str, figures: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column(first, no_wrap=True, overflow="ellipsis", min_width=9)
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    return table


def _rate(count: int, elapsed: float) -> str:
    return f"{count / elapsed:,.0f}" if elapsed > 0 else "0"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 120.0), ("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            scaled = value / (60.0 if unit == "min" else size)
            return f"{scaled:,.0f} {unit}" if scaled >= 10 else f"{scaled:.1f} {unit}"
    return f"{value * 1e6:.0f} us"


def _bytes(value: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value} B"
