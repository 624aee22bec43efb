"""`@app.batch` on a real broker: each event scored once, in offset order, whatever is killed on the way."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from .checks import assert_outputs, flat, same
from .conftest import NewJob
from .job import Guarantee, Job
from .judge import Event, Source, judge
from .load import chunks, load
from .oracle import Model
from .records import Record

STATIC = {"group.instance.id": "one"}  # its successor takes over at once, so there is time for more kills
POISON = 37


def scorer(**options: Any) -> dict[str, Any]:
    """The keywords of a model of single events."""
    return {"name": "scorer", "version": "1", **options}


def sink(job: Job) -> str:
    """Where the scores go."""
    return str(job.scorers[0]["sink"])


def wanted(job: Job) -> dict[int, list[Event]]:
    """The events of the source by partition, in offset order."""
    log = job.kafka.read(job.source.topic)
    judged = {partition: [judge(r, job.source) for r in records] for partition, records in log.items()}
    return {partition: [e for e in of if isinstance(e, Event)] for partition, of in judged.items()}


def event_of(record: Record) -> Event:
    """The event that a score, or a dead letter of one, is of."""
    value = record.json
    key: Any = value["key"]
    assert record.key is not None
    assert record.key == (bytes.fromhex(key["hex"]) if isinstance(key, dict) else key.encode())
    # librdkafka takes a timestamp of 0 for now, so 1 stands for it.
    assert record.timestamp == max(1, value["timestamp"])
    assert record.header("id")
    seq = value["seq"] if "seq" in value else int(value["values"][0][0])
    return Event(value["timestamp"], value["offset"], record.key, seq)


def assert_scored(job: Job, topic: str, events: dict[int, list[Event]]) -> None:
    """Each event once and in offset order; at least once, a repeat says what the first one said."""
    found = job.kafka.read(topic)
    for partition, of in events.items():
        first: dict[str, Record] = {}
        for record in found.get(partition, []):
            known = first.setdefault(record.header("id"), record)
            assert (known.key, known.json) == (record.key, record.json)
        seen = found.get(partition, [])
        if job.guarantee == "at_least_once":
            seen = sorted(first.values(), key=lambda record: record.json["offset"])
        same(map(event_of, seen), of, f"{topic}, partition {partition}")
    assert len({record.header("id") for record in flat(found)}) == sum(map(len, events.values()))


def ahead_of(job: Job, before: int) -> Callable[[], bool]:
    """Whether the group has committed more than it had."""
    return lambda: job.progress() > before


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_killed_worker_scores_no_event_twice_and_loses_none(
    new_job: NewJob, name: str, guarantee: Guarantee
) -> None:
    # A model of windows beside it has each start read events again that are scored already.
    model = Model("m", 10_000, 1_000, grace=2_000)
    job = new_job(
        model,
        guarantee=guarantee,
        settings={"kafka": STATIC, "epoch": "10ms"},
        delay=0.002,
        scorers=(scorer(sink=f"{name}.scores", max_events=64, max_wait="5ms", workers=2),),
    )
    pieces, written = chunks(load(12_000, span=120_000), 400), 0
    moments = random.Random(5)

    def feed(count: int) -> None:
        nonlocal written
        for _ in range(count):
            written += len(job.kafka.produce(job.source.topic, pieces.pop(0)))

    for _ in range(4):
        worker = job.start()
        before = job.progress()
        feed(1)
        worker.until(ahead_of(job, before), "a commit of its own")
        feed(moments.randrange(20, 70))
        worker.kill_amid(lambda: job.progress() < written, lambda: feed(1))
    feed(len(pieces))
    job.run()

    assert sum(job.ends().values()) == written
    assert_scored(job, sink(job), wanted(job))
    assert_outputs(job, job.expected())


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_poison_event_is_a_dead_letter_and_its_siblings_are_scored(
    new_job: NewJob, name: str, guarantee: Guarantee
) -> None:
    job = new_job(guarantee=guarantee, poison=POISON, scorers=(scorer(sink=f"{name}.scores"),))
    records = load(6_000, span=60_000)
    records += [Record(n % 4, b"k", b"{", records[-1].timestamp) for n in range(8)]
    job.kafka.produce(job.source.topic, records)
    metrics = job.run()

    events = wanted(job)
    good = {partition: [e for e in of if e.seq % POISON] for partition, of in events.items()}
    dead = {partition: [e for e in of if e.seq % POISON == 0] for partition, of in events.items()}
    assert sum(map(len, dead.values())) > 100, "the test has no teeth"
    assert_scored(job, sink(job), good)
    letters = job.kafka.read(job.dead_letter_topic)
    for partition, of in dead.items():
        of_model = [r for r in letters[partition] if r.header("reason") == "model_error"]
        same(map(event_of, of_model), of, f"dead events of partition {partition}")
        assert [int(r.header("offset")) for r in of_model] == [event.offset for event in of]
        assert {r.json["error"] for r in of_model} <= {f"ValueError: {event.seq}" for event in of}
    counts, source = metrics["models"]["scorer"], metrics["sources"][job.source.topic]
    assert source["dead_letters"] == {"not_json": 8}
    assert counts["dead_letters"] == {"model_error": sum(map(len, dead.values()))}
    assert source["consumed"] == len(records)
    assert source["consumed"] == counts["scored"] + counts["dead_letters"]["model_error"] + 8


def test_a_model_of_events_that_is_adopted_begins_where_the_group_stands(new_job: NewJob, name: str) -> None:
    model = Model("m", 10_000, 2_000, grace=2_000)
    job = new_job(model)
    pieces = chunks(load(4_000, span=60_000), 2)
    job.kafka.produce(job.source.topic, pieces[0])
    job.run()
    begun = job.ends()
    job.kafka.produce(job.source.topic, pieces[1])
    job.scorers = (scorer(sink=f"{name}.scores"),)
    assert "model scorer was absent" in job.start(until="end").fail("LostHistoryError")
    job.run(adopt=True)

    events = {p: [e for e in of if e.offset >= begun[p]] for p, of in wanted(job).items()}
    assert_scored(job, sink(job), events)
    assert_outputs(job, job.expected())


def test_windows_of_scores_are_exact(new_job: NewJob, name: str) -> None:
    up = new_job(scorers=(scorer(sink=f"{name}.scores"),))
    down = Job(
        up.kafka,
        up.workers,
        up.app,
        Source(sink(up), timestamp="timestamp", options={"idle_timeout": "auto"}),
        (Model("m", 10_000, 2_000, grace=35_000),),
    )
    up.kafka.produce(up.source.topic, load(5_000, span=120_000))
    config, more = up.config({"until": "end"}), down.config({})
    config["topics"] += more["topics"]
    config["models"] += more["models"]
    metrics = up.workers.start(config).finish()

    assert_scored(up, sink(up), wanted(up))
    assert_outputs(down, down.expected())
    assert metrics["models"]["m"]["late_pairs"] == 0
