"""HopList, the job of all benchmarks: what is loaded, and the entries that are measured side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Guarantee = Literal["exactly_once", "at_least_once"]
KEYS = 1_000
PARTITIONS = 4
PER_SECOND = 10  # events of a key in a second of event time
HOP_SECONDS = 1
GRACE_SECONDS = 1
WARM_UP = 3  # sizes of event time until a run counts as steady
SHORTEST_WARM_UP = 30  # seconds of event time: small windows are given time to get going, too


@dataclass(frozen=True)
class Entry:
    """One line of the table."""

    job: Literal["drain", "decode", "copy", "millstream"]
    size: int = 10  # seconds
    guarantee: Guarantee = "exactly_once"

    @property
    def name(self) -> str:
        """Unique among the entries."""
        return "-".join([self.job, str(self.size), self.guarantee.replace("_", "-")])

    @property
    def produces(self) -> bool:
        """Whether it writes to a topic."""
        return self.job in ("copy", "millstream")


# The copy job is the same for all sizes: as many results are produced, whatever they are made of.
ENTRIES = [
    Entry("drain"),
    Entry("decode"),
    Entry("copy"),
    *(Entry("millstream", size) for size in (1, 10, 60)),
    Entry("copy", guarantee="at_least_once"),
    Entry("millstream", guarantee="at_least_once"),
]


def spec(entry: Entry, brokers: str, events: int, run: int) -> dict[str, Any]:
    """What the program of an entry is told; names are new for each run."""
    seconds = max(WARM_UP * entry.size, SHORTEST_WARM_UP)
    return {
        "brokers": brokers,
        "topic": "hoplist",
        "sink": f"{entry.name}-{run}.results",
        "name": f"{entry.name}-{run}",
        "events": events,
        "keys": KEYS,
        "partitions": PARTITIONS,
        "skip": seconds * KEYS * PER_SECOND,
        "size_ms": entry.size * 1000,
        "hop_ms": HOP_SECONDS * 1000,
        "grace_ms": GRACE_SECONDS * 1000,
        "guarantee": entry.guarantee,
    }
