"""Rates: replay beside live ingest, and exactly once beside at least once, on one loaded topic each."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from kafka.broker import Broker
from kafka.clients import Kafka
from kafka.job import Guarantee, Job
from kafka.judge import Source
from kafka.load import BASE
from kafka.oracle import Model
from kafka.runner import Workers

from millstream import _core

from .fleet import PROGRAM, ROOT
from .stream import PARTITIONS

INGEST = PROGRAM.with_name("ingest.py")
KEYS = 1_000
PER_SECOND = 10  # events of a key in a second of event time
SECONDS = 240.0  # the longest that one run may take
REPLAYED = 4_000_000
PRODUCED = 10_000_000
EPOCHS = ("10ms", "100ms", "1000ms")
GUARANTEES: tuple[Guarantee, ...] = ("exactly_once", "at_least_once")


def fill(kafka: Kafka, topic: str, events: int) -> None:
    """Write events of all keys in turn."""
    kafka.create_topic(topic, PARTITIONS)
    producer = _core.Producer(kafka.bootstrap)
    for seq in range(events):
        key = seq % KEYS
        ts = BASE + seq * 1000 // (KEYS * PER_SECOND)
        value = b'{"ts": %d, "seq": %d}' % (ts, seq)
        producer.send(topic, value, key=b"key-%d" % key, timestamp=ts, partition=key % PARTITIONS)
    producer.flush(120.0)


def ingest(job: Job, directory: Path, name: str, **more: Any) -> dict[str, Any]:
    """Run an app in a process of its own; returns what it reports."""
    run = more.pop("run", {})
    path = directory / f"ingest-{name}.json"
    path.write_text(json.dumps({**job.config(run), **more}))
    command = [sys.executable, str(INGEST), str(path)]
    path_of = {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **path_of}
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def job_of(kafka: Kafka, directory: Path, name: str, topic: str, model: Model, **more: Any) -> Job:
    """An app over a loaded topic."""
    return Job(kafka, Workers(directory), name, Source(topic), (model,), **more)


def replay(directory: Path, events: int = REPLAYED, runs: int = 3) -> dict[str, Any]:
    """How fast state is read back, against how fast the same records were taken in, with no model called."""
    open_for_ever = Model("open", 86_400_000, 86_400_000, grace=0)
    found = []
    with Broker() as broker, Kafka(broker.bootstrap) as kafka:
        fill(kafka, "replayed", events)
        for number in range(runs):
            job = job_of(kafka, directory, f"replay-{number}", "replayed", open_for_ever)
            live = ingest(job, directory, f"live-{number}", run={"until": "end"})
            fill_more(kafka, events)
            again = ingest(job, directory, f"replay-{number}", until_consumed=PARTITIONS)
            found.append({"live": slope(live["consumed"]), "replay": events / again["restored"]})
            events += PARTITIONS
    ratios = [run["replay"] / run["live"] for run in found]
    return {"events": events, "runs": found, "ratio": statistics.median(ratios)}


def slope(moments: list[tuple[float, int]]) -> float:
    """Events per second, the first tenth left out."""
    tenth = moments[-1][1] / 10
    (begun, before), (ceased, after) = next(m for m in moments if m[1] >= tenth), moments[-1]
    return (after - before) / (ceased - begun)


def fill_more(kafka: Kafka, seq: int) -> None:
    """One event more in each partition, which is taken in when all state is there again."""
    ts = BASE + seq * 1000 // (KEYS * PER_SECOND)
    producer = _core.Producer(kafka.bootstrap)
    for partition in range(PARTITIONS):
        value = b'{"ts": %d, "seq": %d}' % (ts, seq)
        producer.send("replayed", value, key=b"key-%d" % partition, timestamp=ts, partition=partition)
    producer.flush(30.0)


def throughput(directory: Path, events: int = PRODUCED, runs: int = 3) -> dict[str, Any]:
    """Events per second under both guarantees at each length of an epoch; medians of runs in turn."""
    model = Model("mean", 10_000, 1_000, grace=1_000, options={"timestamps": False})
    rates: dict[tuple[str, str], list[float]] = {}
    with Broker() as broker, Kafka(broker.bootstrap) as kafka:
        fill(kafka, "loaded", events)
        for number in range(runs):
            for epoch in EPOCHS:
                for guarantee in GUARANTEES:
                    name = f"rate-{epoch}-{guarantee.replace('_', '-')}-{number}"
                    job = job_of(
                        kafka,
                        directory,
                        name,
                        "loaded",
                        model,
                        guarantee=guarantee,
                        settings={"epoch": epoch},
                    )
                    report = ingest(job, directory, name, run={"until": "end"})
                    rates.setdefault((epoch, guarantee), []).append(slope(report["committed"]))
    table: dict[str, Any] = {}
    for epoch in EPOCHS:
        medians = {guarantee: statistics.median(rates[epoch, guarantee]) for guarantee in GUARANTEES}
        table[epoch] = {**medians, "ratio": medians["exactly_once"] / medians["at_least_once"]}
    return {"events": events, "runs": runs, "epochs": table}
