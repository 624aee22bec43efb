"""What `millstream run` prints: a banner, a line of progress every 10 s, a summary."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from millstream import __version__
from millstream._durations import format_ms

_EVERY_S = 10.0

Metrics = Mapping[str, Any]


def logged_plainly(stream: IO[str]) -> logging.Handler:
    """Return what writes log lines for people."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


class Screen:
    """Prints the course of one run.

    Args:
        console: Where to.
        metrics: Returns the counters of the run.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        console: Console,
        metrics: Callable[[], Metrics],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._metrics = metrics
        self._clock = clock
        self._began = clock()
        self._printed = self._began
        self._events = 0
        self._windows = 0

    def log_handler(self) -> logging.Handler:
        """Return what shows log lines."""
        return logged_plainly(self._console.file)

    def banner(self, plan: Mapping[str, Any]) -> None:
        """Print what is about to run; no librdkafka setting among it."""
        self._print(f"millstream {__version__}")
        rows = [
            ("app", plan["name"]),
            ("group", plan["group_id"]),
            ("brokers", plan["brokers"]),
            ("guarantee", plan["guarantee"]),
        ]
        rows += [("topic", _source_line(source)) for source in plan["sources"]]
        rows += [("model", _model_line(model, plan["sources"])) for model in plan["models"]]
        for label, value in rows:
            self._print(Text.assemble((f"{label:<11}", "dim"), value))

    def tick(self) -> None:
        """Print a line of progress when 10 s have passed since the last one."""
        now = self._clock()
        elapsed = now - self._printed
        if elapsed < _EVERY_S:
            return
        metrics = self._metrics()
        events, windows = metrics["consumed"], metrics["windows"]
        self._print(
            f"{(events - self._events) / elapsed:,.0f} events/s"
            f"  {(windows - self._windows) / elapsed:,.0f} windows/s"
            f"  late {metrics['late_pairs']:,}"
            f"  dead letters {metrics['dead_letters']:,}"
            f"  lag {_lag(metrics)}"
        )
        self._printed, self._events, self._windows = now, events, windows

    def close(self) -> None:
        """Has nothing to give back."""

    def summary(self) -> None:
        """Print the totals, and one line per model."""
        metrics = self._metrics()
        self._print(
            f"ran {self._clock() - self._began:.1f} s: {metrics['consumed']:,} events, "
            f"{metrics['windows']:,} windows, {metrics['late_pairs']:,} late, "
            f"{metrics['dead_letters']:,} dead letters{_reasons(metrics)}, lag {_lag(metrics)}"
        )
        for name, model in metrics["models"].items():
            p99 = model["predict_seconds_p99"]
            self._print(
                f"  {name}: {model['windows_produced']:,} windows in {model['batches']:,} calls of "
                f"{model['predict_seconds']:.1f} s in all"
                f"{'' if p99 is None else f' (p99 {p99 * 1_000:,.1f} ms)'}, {model['late_pairs']:,} late, "
                f"{model['windows_skipped']:,} skipped"
            )

    def _print(self, line: str | Text) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _source_line(source: Mapping[str, Any]) -> str:
    return f"{source['topic']} ({', '.join(source['fields']) or 'no fields'})"


def _model_line(model: Mapping[str, Any], sources: list[Mapping[str, Any]]) -> str:
    size, hop, grace = (format_ms(model[f"{name}_ms"]) for name in ("size", "hop", "grace"))
    topic = sources[model["source"]]["topic"]
    if "max_wait_ms" in model:
        return f"{model['name']}: {topic}, every event -> {model['sink']}"
    return f"{model['name']}: {topic}, {size} every {hop}, grace {grace} -> {model['sink']}"


def _lag(metrics: Metrics) -> str:
    lags = [
        partition["lag"]
        for source in metrics["sources"].values()
        for partition in source["partitions"].values()
    ]
    known = [lag for lag in lags if lag is not None]
    return f"{sum(known):,}" if known else "unknown"


def _reasons(metrics: Metrics) -> str:
    counts: dict[str, int] = {}
    for part in (*metrics["sources"].values(), *metrics["models"].values()):
        for reason, count in part["dead_letters"].items():
            counts[reason] = counts.get(reason, 0) + count
    said = ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()) if count)
    return f" ({said})" if said else ""
