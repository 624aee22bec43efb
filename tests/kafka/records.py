"""What a log is made of: one plain record type that clients read and write and that the oracle judges."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Record:
    """A Kafka record; the offset is known once it was written."""

    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int  # -1: none
    offset: int = -1
    headers: Headers = field(default_factory=list, compare=False, repr=False)

    @property
    def json(self) -> Any:
        """The decoded value."""
        assert self.value is not None
        return json.loads(self.value)

    def header(self, name: str) -> str:
        """The one value of a header, as text; an absent or repeated header is an error."""
        (value,) = [value for key, value in self.headers if key == name]
        assert value is not None
        return value.decode()


Log = dict[int, list[Record]]  # partition -> records in offset order


def event(partition: int, key: str | bytes, ts: int, seq: int, *, stamp: int | None = None) -> Record:
    """A valid event; models return `seq` to show what they saw; `stamp` is the record timestamp."""
    raw = key.encode() if isinstance(key, str) else key
    return Record(partition, raw, json.dumps({"ts": ts, "seq": seq}).encode(), ts if stamp is None else stamp)


def as_log(records: Iterable[Record], partitions: int = 4) -> Log:
    """The log that records make which came back from `produce`."""
    log: Log = {partition: [] for partition in range(partitions)}
    for record in records:
        log[record.partition].append(record)
    return log
