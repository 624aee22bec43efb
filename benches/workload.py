"""HopList, the job of all benchmarks: what is loaded, and the entries that are measured side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Guarantee = Literal["exactly_once", "at_least_once"]
GRACE_SECONDS = 1
WARM_UP = 3  # sizes of event time until a run counts as steady
SHORTEST_WARM_UP = 30  # seconds of event time: small windows are given time to get going, too


@dataclass(frozen=True)
class Load:
    """What a topic holds."""

    events: int = 4_000_000
    keys: int = 1_000
    per_second: int = 10_000  # events in a second of event time, over all keys
    partitions: int = 4
    fields: int = 1
    unused: int = 0  # fields of an event that the app does not declare
    disorder: int = 0  # per cent of the events that come late, by less than the grace
    compression: str = "lz4"

    @property
    def pace(self) -> float:
        """Seconds between two events of a key."""
        return self.keys / self.per_second

    @property
    def topic(self) -> str:
        """Unique among the loads."""
        return "-".join(["hoplist", *(str(value) for value in asdict(self).values())])


@dataclass(frozen=True)
class Entry:
    """One line of a table."""

    job: str  # drain, decode, copy, millstream, or the name of a peer
    size: float = 10  # seconds
    hop: float = 1  # seconds
    guarantee: Guarantee = "exactly_once"
    load: Load = Load()
    models: int = 1
    min_events: int = 1
    epoch: str = "100ms"
    lanes: int = 1  # of each process
    processes: int = 1

    @property
    def name(self) -> str:
        """Unique among the entries."""
        own = [self.job, self.size, self.hop, self.guarantee.replace("_", "-"), self.models, self.min_events]
        own += [self.epoch, self.lanes, self.processes]
        return "-".join([*map(str, own), self.load.topic])

    @property
    def title(self) -> str:
        """What a table calls it."""
        return f"{self.job}, r = {self.size / self.hop:g}" if self.windowed else self.job

    @property
    def produces(self) -> bool:
        """Whether it writes to a topic."""
        return self.job not in ("drain", "decode")

    @property
    def windowed(self) -> bool:
        """Whether it has windows, of a size."""
        return self.job not in ("drain", "decode", "copy")

    @property
    def checked(self) -> bool:
        """Whether each of its windows is known: of keys that have an event in every hop."""
        return self.job == "millstream" and self.load.pace <= self.hop and self.min_events == 1

    @property
    def copy(self) -> Entry:
        """The copy job that it is held against; the same for all sizes, as results are as many."""
        return Entry("copy", guarantee=self.guarantee, load=self.load)


PEER_SIZES = (10, 60)  # seconds
ENTRIES = [
    Entry("drain"),
    Entry("decode"),
    Entry("copy"),
    *(Entry("millstream", size) for size in (1, 10, 60)),
    Entry("copy", guarantee="at_least_once"),
    Entry("millstream", guarantee="at_least_once"),
]


def spec(entry: Entry, brokers: str, run: int) -> dict[str, Any]:
    """What the program of an entry is told; names are new for each run."""
    load = entry.load
    events = load.events // load.keys * load.keys
    warm_up = round(max(WARM_UP * entry.size, SHORTEST_WARM_UP) * load.per_second)
    return {
        **asdict(load),
        "brokers": brokers,
        "topic": load.topic,
        "sink": f"{entry.name}-{run}.results",
        "name": f"{entry.name}-{run}",
        "events": events,
        "skip": min(warm_up, events // 2),
        "size_ms": round(entry.size * 1000),
        "hop_ms": round(entry.hop * 1000),
        "grace_ms": GRACE_SECONDS * 1000,
        "guarantee": entry.guarantee,
        "models": entry.models,
        "min_events": entry.min_events,
        "epoch": entry.epoch,
        "lanes": entry.lanes,
        "processes": entry.processes,
    }
