"""Time: from a SIGKILL to the first output of the dead member's partitions, and around a broker's outage."""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from kafka.broker import Broker
from kafka.clients import Kafka
from kafka.job import MEMBER, SHORT, Job
from kafka.judge import Source
from kafka.oracle import Model
from kafka.records import Record
from kafka.runner import Workers

from .fleet import Fleet, Member
from .shape import LATE, Shape
from .stream import PARTITIONS, Load, Writer

KILLS = 25
OUTAGE = 30.0  # seconds
PATIENCE = 90.0
SETTLED = 3.0  # seconds of output before a member is killed
RATE = 300.0
MODEL = Model("overlapping", 10_000, 1_000, grace=3_000, options={**LATE, "max_batch": 64})


@dataclass
class Seen:
    """The newest output of a partition."""

    at: float
    worker: str


@dataclass
class Tail:
    """Reads a sink as a user would, and notes when each partition's output came and whose it was."""

    bootstrap: str
    topic: str
    seen: dict[int, Seen] = field(default_factory=dict)
    longest: float = 0.0  # seconds without any output
    newest: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Tail:
        """Start to read."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read()), name="tail", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stopped.set()
        self._thread.join()

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        consumer.assign([TopicPartition(self.topic, p) for p in range(PARTITIONS)])
        try:
            while not self.stopped.is_set():
                try:
                    batches = await consumer.getmany(timeout_ms=50)
                except KafkaError:
                    continue
                for place, messages in batches.items():
                    self._note(place.partition, messages)
        finally:
            await consumer.stop()

    def _note(self, partition: int, messages: list[Any]) -> None:
        now = time.monotonic()
        if self.newest:
            self.longest = max(self.longest, now - self.newest)
        self.newest = now
        for message in messages:
            if message.value and message.key != b"sentinel":
                worker = Record(partition, message.key, message.value, message.timestamp).json["worker"]
                self.seen[partition] = Seen(now, worker)

    def of(self, member: Member) -> set[int]:
        """The partitions whose newest output is a member's."""
        return {partition for partition, seen in self.seen.items() if seen.worker == member.name}


def group(broker: Broker, kafka: Kafka, directory: Path, name: str) -> tuple[Fleet, Writer, Tail]:
    """Two members under a steady load, with a session of 6 s."""
    settings = {"epoch": "100ms", "kafka": {**MEMBER, **SHORT}}
    shape = Shape(workers=2, models=(MODEL,), settings=settings)
    job = Job(kafka, Workers(directory), name, Source(f"{name}.source"), (MODEL,), settings=settings)
    kafka.create_topic(job.source.topic, PARTITIONS, max_message_bytes="4194304")
    kafka.create_topic(job.sink(MODEL), PARTITIONS)
    fleet = Fleet(job, shape, directory, plain=True)
    writer = Writer(broker.bootstrap, job.source.topic, Load(0), RATE)
    return fleet, writer, Tail(broker.bootstrap, job.sink(MODEL))


def until(condition: Any, what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come within {PATIENCE} s")
        time.sleep(0.01)


def recovery(directory: Path, kills: int = KILLS) -> dict[str, Any]:
    """Kill one of two members, again and again; the other takes its partitions over."""
    times: list[float] = []
    draw = random.Random("recovery")
    with Broker() as broker, Kafka(broker.bootstrap) as kafka:
        fleet, writer, tail = group(broker, kafka, directory, "recovery")
        try:
            with writer, tail:
                for slot in (0, 1):
                    fleet.start(slot)
                for _ in range(kills):
                    until(lambda: all(tail.of(m) for m in fleet.slots.values()), "output of both members")
                    time.sleep(SETTLED + draw.random())
                    slot = draw.choice([0, 1])
                    member = fleet.slots[slot]
                    held = tail.of(member)
                    killed = time.monotonic()
                    member.worker.kill()
                    until(partial(taken_over, tail, member, held), "a successor's output")
                    times += [tail.seen[partition].at - killed for partition in held]
                    fleet.start(slot)
        finally:
            fleet.end()
    times.sort()
    return {"kills": kills, "samples": len(times), "session_s": 6.0, **percentiles(times)}


def taken_over(tail: Tail, member: Member, held: set[int]) -> bool:
    """Whether the newest output of all partitions that a member had is another's."""
    return not held & tail.of(member)


def percentiles(times: list[float]) -> dict[str, float]:
    """p50, p99 and the worst, by nearest rank."""

    def rank(part: float) -> float:
        return round(times[max(0, math.ceil(part * len(times)) - 1)], 2)

    return {"p50_s": rank(0.5), "p99_s": rank(0.99), "worst_s": rank(1.0)}


def outage(directory: Path, seconds: float = OUTAGE) -> dict[str, Any]:
    """The broker is killed and comes back after `seconds`; members wait, and their memory stays flat."""
    with Broker(apart=True) as broker, Kafka(broker.bootstrap) as kafka:
        fleet, writer, tail = group(broker, kafka, directory, "outage")
        try:
            with writer, tail:
                for slot in (0, 1):
                    fleet.start(slot)
                until(lambda: all(tail.of(m) for m in fleet.slots.values()), "output of both members")
                time.sleep(2 * SETTLED)
                before = {m.name: rss(m) for m in fleet.slots.values()}
                most = dict(before)
                tail.longest = 0.0
                went = time.monotonic()
                broker.kill()
                restart = threading.Timer(seconds, broker.restart)
                restart.start()
                while restart.is_alive():
                    for member in fleet.slots.values():
                        most[member.name] = max(most[member.name], rss(member))
                    time.sleep(0.1)
                away = time.monotonic() - went
                until(lambda: all(seen.at > went + away for seen in tail.seen.values()), "output again")
                stall = max(seen.at for seen in tail.seen.values()) - went
                growth = max(most[name] - before[name] for name in before)
                lived = all(member.worker.running for member in fleet.slots.values())
        finally:
            fleet.end()
    return {
        "away_s": round(away, 1),
        "longest_stall_beyond_s": round(max(tail.longest, stall) - away, 1),
        "rss_before_mib": round(max(before.values()) / 2**20, 1),
        "rss_growth_mib": round(growth / 2**20, 1),
        "all_members_lived": lived,
    }


def rss(member: Member) -> int:
    """Resident memory of a member, in bytes."""
    fields = Path(f"/proc/{member.worker.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4096
