"""What `millstream run --json` prints: one JSON object per line for the start, progress, log and summary."""

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from millstream import __version__
from millstream.cli._screen import logged_plainly
from millstream.logging import JsonFormatter

_EVERY_S = 10.0

Metrics = Mapping[str, Any]


class JsonScreen:
    """Prints the course of one run as JSON lines; `type` says what a line is.

    Args:
        metrics: Returns the counters of the run.
        stream: Where to; None is what standard output is now.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        metrics: Callable[[], Metrics],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._began = self._printed = clock()

    def banner(self, plan: Mapping[str, Any]) -> None:
        """Print what is about to run; no librdkafka setting among it."""
        said = {
            "version": __version__,
            "app": plan["name"],
            "group": plan["group_id"],
            "brokers": plan["brokers"],
            "guarantee": plan["guarantee"],
            "topics": [source["topic"] for source in plan["sources"]],
            "models": [{"name": model["name"], "sink": model["sink"]} for model in plan["models"]],
        }
        self._print("start", said)

    def tick(self) -> None:
        """Print the counters when 10 s have passed since they were printed last."""
        now = self._clock()
        if now - self._printed >= _EVERY_S:
            self._printed = now
            self._print("progress", {"metrics": self._metrics()})

    def close(self) -> None:
        """Has nothing to give back."""

    def summary(self) -> None:
        """Print the counters at the end."""
        seconds = round(self._clock() - self._began, 3)
        self._print("summary", {"seconds": seconds, "metrics": self._metrics()})

    def log_handler(self) -> logging.Handler:
        """Return a handler that prints log lines in between."""
        return _Handler(self._print)

    def _print(self, kind: str, fields: Mapping[str, Any]) -> None:
        line = {"type": kind, "time": round(time.time(), 3), **fields}
        print(json.dumps(line, ensure_ascii=False, default=str), file=self._stream, flush=True)


class QuietScreen:
    """Prints nothing."""

    def banner(self, plan: Mapping[str, Any]) -> None:
        """Print nothing of what is about to run."""

    def tick(self) -> None:
        """Print no progress."""

    def close(self) -> None:
        """Has nothing to give back."""

    def summary(self) -> None:
        """Print no totals."""

    def log_handler(self) -> logging.Handler:
        """Return what prints log lines on stderr."""
        return logged_plainly(sys.stderr)


class _Handler(logging.Handler):
    def __init__(self, print_line: Callable[..., None]) -> None:
        super().__init__()
        self._print_line = print_line
        self._form = JsonFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        self._print_line("log", self._form.fields(record))
