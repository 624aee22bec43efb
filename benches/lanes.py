"""Several processes of one group, measured together: what counts is the time in which all are at work."""

from __future__ import annotations

import json
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

Marks = list[tuple[float, int, float]]  # when a commit was seen, what was consumed by then, seconds of CPU


class NotTogetherError(Exception):
    """One process was done before another was at work."""


def run(command: list[str], what: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Run a program several times at once on one specification; returns what they measured together."""
    arguments = [*command, json.dumps(what)]
    started = [
        subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(what["processes"])
    ]
    try:
        said = [process.communicate(timeout=seconds)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    if any(process.returncode for process in started):
        sys.exit(f"{' '.join(command)} failed on {what['name']}")
    return together([dict(json.loads(text)) for text in said])


def together(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add up the parts of several processes between the last one's warm-up and the first one's end."""
    parts: list[Marks] = [[(mark[0], mark[1], mark[2]) for mark in one["marks"]] for one in measured]
    begin = max((marks[0][0] for marks in parts if marks), default=0.0)
    end = min((marks[-1][0] for marks in parts if marks), default=0.0)
    spans = [between(marks, begin, end) for marks in parts if marks]
    events = sum(events for events, _, _ in spans)
    if not all(parts) or begin >= end or events <= 0:
        raise NotTogetherError
    return {
        "events": events,
        "seconds": end - begin,
        "events_per_s": sum(events / seconds for events, _, seconds in spans if seconds),
        "cpu_us_per_event": sum(cpu for _, cpu, _ in spans) / events * 1e6,
        "peak_mib": sum(float(one["peak_mib"]) for one in measured),
    }


def between(marks: Marks, begin: float, end: float) -> tuple[int, float, float]:
    """Events, CPU and seconds from the first mark in a span to the last."""
    times = [time for time, _, _ in marks]
    first = marks[min(bisect_left(times, begin), len(marks) - 1)]
    last = marks[max(bisect_right(times, end) - 1, 0)]
    return last[1] - first[1], last[2] - first[2], last[0] - first[0]
