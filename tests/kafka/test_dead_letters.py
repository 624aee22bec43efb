"""A record that is no event goes to the dead-letter topic as it was, with the reason; the run goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .checks import assert_counts, assert_dead, assert_exact
from .conftest import NewJob
from .job import Guarantee
from .judge import Event, Source, judge
from .load import BASE, load
from .oracle import Model, expect
from .poison import HOUR, NOW, bad, body, odd
from .raw import produce_with_header_name
from .records import Record, as_log, event

MODEL = Model("m", 10_000, 1_000, grace=5_000)
SPAN = 60_000
NO_TEXT = b"\xff\xfe-name"


def test_the_oracle_knows_good_from_bad() -> None:
    assert [judge(record, Source("t")) for _, record in bad()] == [reason for reason, _ in bad()]
    assert all(isinstance(judge(record, Source("t")), Event) for record in odd())


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_every_bad_record_is_kept_with_its_reason(new_job: NewJob, guarantee: Guarantee) -> None:
    job = new_job(MODEL, guarantee=guarantee, config={"max_message_bytes": "4194304"})
    topic, events = job.source.topic, load(4_000, span=SPAN)
    written = job.kafka.produce(topic, events[:2_000])
    written += job.kafka.produce(topic, [record for _, record in bad()])
    written += job.kafka.produce(topic, odd())
    for value in (body('"seq": 50'), b"{"):
        written.append(produce_with_header_name(job.kafka, topic, Record(1, b"key-01", value, NOW), NO_TEXT))
    written += job.kafka.produce(topic, events[2_000:])
    # An hour ahead of its record is not too far, and a record without a timestamp is nothing to be ahead of.
    ahead = event(0, "key-00", BASE + SPAN + HOUR, 51, stamp=BASE + SPAN)
    written += job.kafka.produce(topic, [ahead, event(1, "key-01", NOW + 24 * HOUR, 52, stamp=-1)])

    metrics = job.run()

    # From what was written: the client of the tests cannot read such header names back.
    log = as_log(written)
    verdict = expect(log, job.source, job.models)
    assert set(verdict.dead.values()) == {reason for reason, _ in bad()}
    assert job.ends() == {partition: len(records) for partition, records in log.items()}
    assert_exact(job, verdict)
    assert_dead(job, verdict, written)
    assert_counts(job, metrics, verdict)
    assert job.run()["consumed"] == 0


def test_a_key_field_is_a_string_or_an_integer(new_job: NewJob) -> None:
    job = new_job(MODEL, partitions=1, source={"key": "device"})
    devices: list[Any] = ["a", "", "ключ", 17, -5, 2**63 - 1, None, 1.5, True, [], {"a": 1}]
    values: list[dict[str, Any]] = [{"device": device} for device in devices]
    records = [
        Record(0, b"not this", json.dumps({"ts": NOW, "seq": seq, **value}).encode(), NOW)
        for seq, value in enumerate([*values, {}, {"device": "a", "ts": NOW + SPAN}])
    ]
    written = job.kafka.produce(job.source.topic, records)

    metrics = job.run()

    verdict = job.expected()
    assert set(verdict.dead.values()) == {"missing_key", "bad_key"}
    assert_exact(job, verdict)
    assert_dead(job, verdict, written)
    assert_counts(job, metrics, verdict)


def test_a_record_without_a_timestamp_has_no_event_time(new_job: NewJob) -> None:
    job = new_job(MODEL, partitions=1, source={"timestamp": None})
    stamps = [NOW, -1, NOW + SPAN]
    written = job.kafka.produce(
        job.source.topic, [event(0, "k", 1, seq, stamp=stamp) for seq, stamp in enumerate(stamps)]
    )

    metrics = job.run()

    verdict = job.expected()
    assert verdict.dead == {(0, 1): "bad_timestamp"}
    assert_exact(job, verdict)
    assert_dead(job, verdict, written)
    assert_counts(job, metrics, verdict)
