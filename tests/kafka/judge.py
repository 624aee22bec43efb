"""The rules for single records, written down once more: events, and why the others are dead letters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .records import Record

LARGEST_VALUE = 1 << 20
DEEPEST = 64
LATEST_TIME = 253402300799999


@dataclass(frozen=True)
class Source:
    """How a topic is read; `options` go to `Topic` as they are and mean nothing here."""

    topic: str
    key: str | None = None
    timestamp: str | None = "ts"
    fields: tuple[str, ...] = ("seq",)
    max_future: int | None = 3_600_000
    options: Mapping[str, Any] = field(default_factory=dict)


class Event(NamedTuple):
    """An accepted record; sorts as windows order their events."""

    ts: int
    offset: int
    key: bytes
    seq: int


def judge(record: Record, source: Source) -> Event | str:
    """The event that a record holds, or the reason why it is a dead letter."""
    if len(record.value or b"") > LARGEST_VALUE:
        return "too_large"
    if depth(record.value or b"") > DEEPEST:
        return "too_deep"
    try:
        value = json.loads((record.value or b"").decode(), parse_int=integer, parse_constant=refuse)
    except ValueError:
        return "not_json"
    if not isinstance(value, dict):
        return "bad_type"
    key = record.key if source.key is None else value.get(source.key)
    if key is None:
        return "missing_key"
    if isinstance(key, bool | float | list | dict):
        return "bad_key"
    stamp = record.timestamp if record.timestamp >= 0 else None
    ts = stamp if source.timestamp is None else value.get(source.timestamp)
    if isinstance(ts, bool) or not isinstance(ts, int | float) or not abs(ts) <= LATEST_TIME:
        return "bad_timestamp"
    ts = math.floor(ts)
    numbers: list[Any] = [value.get(name) for name in source.fields]
    if None in numbers:
        return "missing_field"
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        return "bad_type"
    if future(ts, stamp, source):
        return "future_timestamp"
    return Event(ts, record.offset, key if isinstance(key, bytes) else str(key).encode(), int(numbers[0]))


def future(ts: int, stamp: int | None, source: Source) -> bool:
    """Whether an event is too far ahead of its record; event time taken from the record never is."""
    guarded = stamp is not None and source.timestamp is not None and source.max_future is not None
    return guarded and ts > (stamp or 0) + (source.max_future or 0)


def integer(digits: str) -> int | float:
    """A JSON integer; a long one is read as a float, which may be infinite."""
    return int(digits) if len(digits) < 25 else float(digits)


def refuse(token: str) -> None:
    """Bare NaN and infinities are not JSON."""
    raise ValueError(token)


def depth(value: bytes) -> int:
    """How deep arrays and objects are nested."""
    deepest = level = 0
    quoted = escaped = False
    for char in value if value.count(b"[") + value.count(b"{") > DEEPEST else b"":
        if quoted:
            quoted = escaped or char != ord('"')
            escaped = not escaped and char == ord("\\")
        elif char == ord('"'):
            quoted = True
        else:
            level += (char in b"[{") - (char in b"]}")
            deepest = max(deepest, level)
    return deepest
