"""What is wrong ends the run with a message that says what and how on; what is made is made as promised."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from .checks import flat, same, window_of
from .conftest import NewJob
from .job import Job
from .judge import Source
from .load import BASE, load
from .oracle import Model
from .records import Record

MODEL = Model("m", 10_000, 1_000, grace=2_000, options={"late": "topic"})
ELSEWHERE = "127.0.0.1:1"  # a port that nobody listens on


def test_a_wrong_broker_address_is_named(new_job: NewJob) -> None:
    job = new_job(MODEL, settings={"brokers": ELSEWHERE})
    assert ELSEWHERE in job.start(until="end").fail()


@pytest.mark.parametrize("missing", ["source", "sink"])
def test_a_missing_topic_is_named_where_none_may_be_made(new_job: NewJob, missing: str) -> None:
    job = new_job(MODEL, settings={"create_topics": False})
    absent = job.sink(MODEL)
    if missing == "source":
        job.kafka.create_topic(job.sink(MODEL))
        absent = f"{job.app}.absent"
        job = replace(job, source=Source(absent))
    assert absent in job.start(until="end").fail()
    assert job.kafka.partitions(absent) == 0


@pytest.mark.parametrize(
    "setting",
    [
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "isolation.level",
        "transactional.id",
    ],
)
def test_a_setting_that_the_engine_owns_is_refused_by_name(new_job: NewJob, setting: str) -> None:
    job = new_job(MODEL, settings={"kafka": {setting: "true"}})
    assert setting in job.start(until="end").fail("ConfigError")


def test_an_unknown_setting_is_named(new_job: NewJob) -> None:
    job = new_job(MODEL, settings={"kafka": {"no.such.setting": "1"}})
    assert "no.such.setting" in job.start(until="end").fail()


def test_a_chain_over_another_partition_count_is_refused(new_job: NewJob) -> None:
    up = new_job(MODEL)
    middle = up.sink(MODEL)
    up.kafka.create_topic(middle, 3)
    down = Job(up.kafka, up.workers, up.app, Source(middle, timestamp=None), (replace(MODEL, name="next"),))
    config, more = up.config({"until": "end"}), down.config({})
    config["topics"] += more["topics"]
    config["models"] += more["models"]
    message = up.workers.start(config).fail()
    assert all(word in message for word in (middle, up.source.topic, "3", "4"))


def test_a_sink_with_another_partition_count_gets_every_window(new_job: NewJob) -> None:
    job = new_job(MODEL)
    job.kafka.create_topic(job.sink(MODEL), 3)
    job.kafka.produce(job.source.topic, load(4_000, span=60_000))
    job.run()
    wanted = [window for windows in job.expected().windows["m"].values() for window in windows]
    found = [window_of(record, job) for record in flat(job.results(MODEL))]
    same(sorted(found), sorted(wanted), "results")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"size": 20_000}, id="size"),
        pytest.param({"hop": 2_000}, id="hop"),
        pytest.param({"grace": 3_000}, id="grace"),
        pytest.param({"name": "other"}, id="name"),
    ],
)
def test_a_changed_model_is_no_continuation(new_job: NewJob, change: dict[str, Any]) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.run()
    ends, results = job.ends(), job.results(MODEL)

    changed = replace(job, models=(replace(MODEL, **change),))
    message = changed.start(until="end").fail()

    assert "group_id" in message
    assert changed.models[0].name in message
    assert (job.ends(), job.results(MODEL)) == (ends, results)


def test_offsets_of_another_program_are_not_taken_over(new_job: NewJob) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    foreign = dict.fromkeys(range(4), 10)
    job.kafka.commit(job.app, {(job.source.topic, p): offset for p, offset in foreign.items()})
    assert "group_id" in job.start(until="end").fail()
    assert job.ends() == foreign


def test_a_new_group_id_is_the_way_on(new_job: NewJob) -> None:
    job = new_job(MODEL, settings={"group_id": "another"})
    job.settings["group_id"] = group = f"{job.app}.group"
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.run()
    assert job.ends() == {}
    committed = job.kafka.committed(group, job.source.topic, stable=True)
    assert sum(offset for offset, _ in committed.values()) == 2_000
    # What recovery needs is in the offset's metadata, within what a broker takes.
    assert all(text and text.isascii() and len(text) <= 4096 for _, text in committed.values())


def test_seconds_that_are_read_as_milliseconds_stop_the_run(new_job: NewJob) -> None:
    job = new_job(MODEL, partitions=1)
    records = [
        Record(0, b"k", f'{{"ts": {(BASE + n) // 1000}, "seq": {n}}}'.encode(), BASE + n) for n in range(200)
    ]
    job.kafka.produce(job.source.topic, records)
    assert "timestamp_unit" in job.start(until="end").fail()
    assert job.progress() == 0


@pytest.mark.parametrize("key", [None, b"any"])
def test_a_key_field_must_decide_the_partition(new_job: NewJob, key: bytes | None) -> None:
    job = new_job(MODEL, source={"key": "device"})
    records = [
        Record(n % 4, key, f'{{"ts": {BASE + n}, "seq": {n}, "device": "watch-1"}}'.encode(), BASE + n)
        for n in range(400)
    ]
    job.kafka.produce(job.source.topic, records)
    message = job.start(until="end").fail()
    assert job.source.topic in message
    assert "scattered" in message
    scattered = replace(job, source=replace(job.source, options={"scattered": True}), app=f"{job.app}.2")
    assert scattered.run()["consumed"] == len(records)


def test_new_topics_are_made_like_their_source(new_job: NewJob) -> None:
    config = {"retention_ms": "999999999999", "max_message_bytes": "2000000"}
    job = new_job(MODEL, partitions=3, config=config)
    job.run()
    for topic in (job.sink(MODEL), job.late_topic, job.dead_letter_topic):
        assert job.kafka.partitions(topic) == 3
        made = job.kafka.config(topic)
        assert made["retention.ms"] == "999999999999"
        assert made["message.timestamp.type"] == "CreateTime"
        assert made["message.timestamp.after.max.ms"] == str(2**63 - 1)
    assert job.kafka.config(job.dead_letter_topic)["max.message.bytes"] == str(2_000_000 + 65_536)


def test_a_changed_model_can_be_adopted_and_begins_after_the_clock(new_job: NewJob) -> None:
    job = new_job(MODEL)
    events = load(4_000, span=120_000)
    job.kafka.produce(job.source.topic, events[:2_000])
    job.run()
    clocks = {partition: json.loads(metadata)["t"] for partition, (_, metadata) in job.committed().items()}
    job.kafka.produce(job.source.topic, events[2_000:])

    other = replace(MODEL, name="other", size=5_000)
    changed = replace(job, models=(MODEL, other))
    changed.run(adopt=True)
    changed.run()  # it is no change any more

    verdict = changed.expected()
    wanted = [window for windows in verdict.windows["m"].values() for window in windows]
    found = [window_of(record, changed) for record in flat(changed.results(MODEL))]
    same(sorted(found), sorted(wanted), "results of the model that has not changed")
    found = [window_of(record, changed) for record in flat(changed.results(other))]
    wanted = [
        window
        for partition, windows in verdict.windows["other"].items()
        for window in windows
        if window.start > clocks[partition]
    ]
    same(sorted(found), sorted(wanted), "results of the new model")
    assert wanted
