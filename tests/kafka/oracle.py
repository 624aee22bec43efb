"""The semantics of windows, written down once more: naive, slow, pure Python, from the log alone.

One dictionary of lists per model. Nothing here knows of epochs, buffers, restarts or threads: what a window
holds and what is late is a function of each partition's records in offset order, and of the places where a
drain or a start took effect.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .judge import Event, Source, judge
from .records import Log, Record


@dataclass(frozen=True)
class Model:
    """One model's windows, in milliseconds; `options` go to `app.model` as they are and mean nothing here."""

    name: str
    size: int
    hop: int
    grace: int
    offset: int = 0
    min_events: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def starts(self, ts: int) -> list[int]:
        """The starts of the windows whose interval holds `ts`, in ascending order."""
        last = (ts - self.offset) // self.hop * self.hop + self.offset
        return [start for start in range(last, last - self.size, -self.hop) if start + self.size > ts][::-1]


class Window(NamedTuple):
    """A window's result; sorts as outputs are ordered."""

    end: int
    key: bytes
    model: str
    start: int
    seqs: tuple[int, ...]


class Late(NamedTuple):
    """An event that missed windows of a model: the first and last start, how many, and the watermark."""

    first: int
    last: int
    windows: int
    watermark: int


@dataclass
class Verdict:
    """What must have come out."""

    windows: dict[str, dict[int, list[Window]]]  # model -> partition -> results in output order
    late: dict[tuple[str, int, int], Late]  # (model, partition, offset)
    dead: dict[tuple[int, int], str]  # (partition, offset) -> reason
    counts: dict[str, Counter[str]]  # model -> counters under their names in App.metrics()
    consumed: int


def expect(
    log: Log,
    source: Source,
    models: Iterable[Model],
    *,
    drains: Iterable[Mapping[int, int]] = (),
    since: Mapping[int, int] | None = None,
) -> Verdict:
    """What the models must produce from a log.

    Each of `drains` gives the next offset of every partition when a run with `drain=True` ended. `since`
    gives the offsets where a group with `start="latest"` began; without it, it began with the first record.
    """
    models = list(models)
    verdict = Verdict(
        windows={model.name: {partition: [] for partition in log} for model in models},
        late={},
        dead={},
        counts={model.name: Counter() for model in models},
        consumed=0,
    )
    for partition, records in log.items():
        points = [drain.get(partition, 0) for drain in drains]
        replay(partition, records, source, models, points, since, verdict)
    return verdict


def replay(
    partition: int,
    records: list[Record],
    source: Source,
    models: list[Model],
    drains: list[int],
    since: Mapping[int, int] | None,
    verdict: Verdict,
) -> None:
    """Judge one partition."""
    clock: float = -math.inf
    floor: float = -math.inf
    held: dict[str, dict[tuple[bytes, int], list[Event]]] = {model.name: {} for model in models}

    def drained(clock: float) -> float:
        ends = [start + m.size + m.grace for m in models for (_, start) in held[m.name]]
        return max([clock, *ends])

    for record in records:
        if since is not None and record.offset < since[partition]:
            continue
        while drains and record.offset >= drains[0]:
            drains.pop(0)
            clock = drained(clock)
        verdict.consumed += 1
        event = judge(record, source)
        if isinstance(event, str):
            verdict.dead[partition, record.offset] = event
            continue
        if since is not None and clock == -math.inf:
            floor = event.ts - 1
        for model in models:
            starts = [start for start in model.starts(event.ts) if start > floor]
            missed = [start for start in starts if start + model.size <= clock - model.grace]
            for start in starts[len(missed) :]:
                held[model.name].setdefault((event.key, start), []).append(event)
            where = "before_start" if not starts else "late_events" if starts == missed else "events"
            verdict.counts[model.name][where] += 1
            if missed:
                verdict.counts[model.name]["late_pairs"] += len(missed)
                late = Late(missed[0], missed[-1], len(missed), int(clock - model.grace))
                verdict.late[model.name, partition, record.offset] = late
        clock = max(clock, event.ts)
    if drains:
        clock = drained(clock)
    for model in models:
        windows = list(closed(model, held[model.name], clock, verdict.counts[model.name]))
        verdict.windows[model.name][partition] = sorted(windows)


def closed(
    model: Model, held: dict[tuple[bytes, int], list[Event]], clock: float, counts: Counter[str]
) -> Iterator[Window]:
    """The windows that the clock has passed, but for those with too few events."""
    for (key, start), events in held.items():
        if start + model.size <= clock - model.grace:
            enough = len(events) >= model.min_events
            counts["windows_produced" if enough else "windows_skipped"] += 1
            if enough:
                seqs = tuple(event.seq for event in sorted(events))
                yield Window(start + model.size, key, model.name, start, seqs)
