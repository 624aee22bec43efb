"""The load: an endless log with known properties, and a thread that writes it at a steady rate."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from itertools import count, islice

from aiokafka.errors import KafkaError
from kafka import poison
from kafka.clients import Kafka
from kafka.load import BASE
from kafka.records import Record

PARTITIONS = 4
HOT = b"hot"
GRACE = 2_000  # disorder stays within it; the models' graces are longer
LATEST = 40_000  # ms by which late events are late
PER_SECOND = 30  # events per second of event time, over all partitions
TICK = 0.05
MOST = 1_000  # records written at once when the writer is behind
FAR = 3_600_000  # the sentinel is this much ahead of everything


class Load:
    """Records in the order in which they are written; the same seed gives the same ones."""

    def __init__(self, seed: int, keys: int = 60) -> None:
        """Zipf over `keys` keys, each of one partition, and a hot key in all of them."""
        self.random = random.Random(f"load {seed}")
        self.keys = [f"key-{n:03}".encode() for n in range(keys)]
        self.weights = [1 / (n + 1) for n in range(keys)]
        self.small = [r for r in self.poisonous() if len(r.value or b"") < 100_000]
        self.giants = [r for r in self.poisonous() if len(r.value or b"") >= 100_000]
        self.random.shuffle(self.giants)
        self.latest = BASE

    @staticmethod
    def poisonous() -> list[Record]:
        """Bad records, and events that only look bad."""
        return [*(record for _, record in poison.bad()), *poison.odd()]

    def records(self) -> Iterator[Record]:
        """The log without its end."""
        last = self.event(0)
        for seq in count():
            self.latest = BASE + seq * 1000 // PER_SECOND
            draw = self.random.random()
            if draw < 0.005:
                yield self.random.choice(self.small)
            elif draw < 0.0053 and self.giants:
                yield self.giants.pop()
            elif draw < 0.010:
                yield last
            else:
                last = self.event(seq)
                yield last

    def event(self, seq: int) -> Record:
        """One event: in disorder, late, on an edge, or none of it."""
        if self.random.random() < 0.2:
            key, partition = HOT, self.random.randrange(PARTITIONS)
        else:
            (n,) = self.random.choices(range(len(self.keys)), self.weights)
            key, partition = self.keys[n], n % PARTITIONS
        ts, draw = self.latest, self.random.random()
        if draw < 0.10:
            ts -= self.random.randrange(GRACE)
        elif draw < 0.12:
            ts -= self.random.randrange(LATEST)
        elif draw < 0.22:
            ts = ts // 1000 * 1000 + self.random.choice([-1, 0, 1])
        elif draw < 0.221:
            ts = self.random.choice([-1, 0, 1, -86_400_000])
        return Record(partition, key, b'{"ts": %d, "seq": %d}' % (ts, seq), self.latest)

    def sentinels(self) -> list[Record]:
        """One event per partition that closes every window before it; its own stays open."""
        ts = self.latest + FAR
        value = b'{"ts": %d, "seq": 0}' % ts
        return [Record(p, b"end", value, ts) for p in range(PARTITIONS)]


class Writer:
    """Writes a load until it is told to stop; a broker that is away only delays it."""

    def __init__(self, bootstrap: str, topic: str, load: Load, rate: float) -> None:
        """`rate` is events per second of wall time."""
        self.topic, self.load, self.rate = topic, load, rate
        self.bootstrap = bootstrap
        self.written = 0
        self.failures = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.write, name="writer", daemon=True)

    def __enter__(self) -> Writer:
        """Start to write."""
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, whatever happened."""
        self.stopped.set()
        self.thread.join()

    def finish(self) -> None:
        """Stop, and write the sentinels as the last records."""
        self.stopped.set()
        self.thread.join()
        with Kafka(self.bootstrap) as kafka:
            kafka.produce(self.topic, self.load.sentinels())

    def write(self) -> None:
        """Write what is due, for ever; an error costs at most the batch in hand, and the log is the truth."""
        records = self.load.records()
        began = time.monotonic()
        while not self.stopped.is_set():
            try:
                with Kafka(self.bootstrap) as kafka:
                    while not self.stopped.wait(TICK):
                        due = int((time.monotonic() - began) * self.rate) - self.written
                        batch = list(islice(records, max(0, min(due, MOST))))
                        self.written += len(batch)
                        kafka.produce(self.topic, batch)
            except (KafkaError, OSError, TimeoutError):
                self.failures += 1
                self.stopped.wait(TICK)
