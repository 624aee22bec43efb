"""Measures a peer: runs it, and has what it wrote judged on the prefix of the topic that it got through."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from peer import Peer
from watch import Watched

Call = Callable[[str, dict[str, Any]], dict[str, Any]]  # a command of the native half
Mark = tuple[float, float]  # an instant in ms, and the events done by then


def measure(peer: Peer, spec: dict[str, Any], seconds: float, native: Call) -> dict[str, Any]:
    """The figures of one run."""
    native("sink", spec)
    watched = peer.run(spec, seconds)
    if watched.ended:
        print(f"  {peer.title} ended by itself: {''.join(watched.errors[-1:])}", file=sys.stderr)
    told = progress(watched)
    judged = native("judge", {**spec, "consumed": told[-1]["consumed"]} if told else spec)
    marks = [(line["time"] * 1000, sum(line["consumed"])) for line in told] or judged["marks"]
    return {**steady(marks, watched), "peak_mib": watched.peak, "check": judged["check"]}


def progress(watched: Watched) -> list[dict[str, Any]]:
    """The lines in which a peer says how far it has come."""
    lines = []
    for line in watched.output:
        with suppress(ValueError):
            lines.append(json.loads(line))
    return [line for line in lines if isinstance(line, dict) and any(line.get("consumed", ()))]


def steady(marks: list[Mark], watched: Watched) -> dict[str, Any]:
    """What the second half of its way took: by then it is warm."""
    last = marks[-1] if marks else (0.0, 0.0)
    first = next((mark for mark in marks if mark[1] >= last[1] / 2), last)
    events, wall = last[1] - first[1], (last[0] - first[0]) / 1000
    if not events or not wall:
        return {"prefix": last[1], "events_per_s": 0.0, "cpu_us_per_event": float("nan")}
    cpu = watched.cpu_at(last[0] / 1000) - watched.cpu_at(first[0] / 1000)
    figures = {"prefix": last[1], "events": events, "seconds": wall}
    return {**figures, "events_per_s": events / wall, "cpu_us_per_event": cpu / events * 1e6}
