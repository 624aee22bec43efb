"""History that is no longer there ends the run with an error that names the place and the way on."""

from __future__ import annotations

import json
import time

import pytest

from .conftest import NewJob
from .job import Job
from .load import load
from .oracle import Model

MODEL = Model("m", 10_000, 1_000, grace=2_000)
YEAR_MS = 365 * 86_400_000


def begun(new_job: NewJob) -> Job:
    """A job that has run to the end of a first half of its events."""
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(4_000, span=120_000))
    job.run()
    return job


def replay_starts(job: Job) -> dict[int, int]:
    """Where a replay would begin, by partition."""
    return {p: json.loads(text)["r"] for p, (_, text) in job.committed().items()}


def refused(job: Job, *words: str) -> None:
    """A run ends with an error that has these words, and commits nothing."""
    before = job.committed()
    message = job.start(until="end").fail("LostHistoryError")
    assert all(word in message for word in (job.source.topic, *words)), message
    assert job.committed() == before


def test_records_that_open_windows_need_and_that_are_deleted_are_missed(new_job: NewJob) -> None:
    job = begun(new_job)
    starts = replay_starts(job)
    job.kafka.delete_records(job.source.topic, {2: starts[2] + 1})
    refused(job, "[2]: the windows that are open", str(starts[2]), str(starts[2] + 1), "group_id")


def test_records_that_are_deleted_ahead_of_a_stopped_group_are_missed(new_job: NewJob) -> None:
    job = begun(new_job)
    end = job.ends()[1]
    job.kafka.produce(job.source.topic, load(400, span=10_000, seed=9))
    job.kafka.delete_records(job.source.topic, {1: end + 10})
    refused(job, "[1]", str(end + 10))


def test_a_topic_that_was_made_again_is_not_the_one_that_was_read(new_job: NewJob) -> None:
    job = begun(new_job)
    committed = job.committed()
    job.delete_source()
    job.kafka.create_topic(job.source.topic)
    # As many records, so that no offset is out of range.
    job.kafka.produce(job.source.topic, load(4_000, span=120_000))
    refused(job, "no committed offset", "made again", "group_id")
    # A tool that brings offsets back does not bring the topic back.
    job.kafka.commit(job.app, {(job.source.topic, p): place for p, place in committed.items()})
    refused(job, "made again: its id", "group_id")


def test_more_partitions_are_another_topic(new_job: NewJob) -> None:
    job = begun(new_job)
    job.kafka.add_partitions(job.source.topic, 5)
    refused(job, "number of partitions", "4", "5")


def test_partitions_that_are_added_under_a_running_app_end_it(new_job: NewJob) -> None:
    job = new_job(MODEL, settings={"kafka": {"topic.metadata.refresh.interval.ms": 1000}})
    job.kafka.produce(job.source.topic, load(400, span=10_000))
    worker = job.start()
    worker.until(lambda: job.progress() == 400, "the commit of all")
    job.kafka.add_partitions(job.source.topic, 5)
    message = worker.fail("LostHistoryError")
    assert all(word in message for word in (job.source.topic, "4", "5")), message


def test_offsets_that_were_deleted_do_not_begin_the_group_anew(new_job: NewJob) -> None:
    job = begun(new_job)
    job.kafka.delete_group(job.app)
    refused(job, "no committed offset", job.sink(MODEL), "millstream reset", "group_id")


def test_offsets_that_are_missing_on_one_partition_are_missed(new_job: NewJob) -> None:
    job = begun(new_job)
    committed = job.committed()
    job.kafka.delete_group(job.app)
    old = {}
    for partition in (0, 1, 3):
        offset, text = committed[partition]
        metadata = json.loads(text)
        assert abs(metadata["b"] - time.time() * 1000) < YEAR_MS
        old[job.source.topic, partition] = offset, json.dumps({**metadata, "b": metadata["b"] - YEAR_MS})
    job.kafka.commit(job.app, old)
    refused(job, "[2]", "no committed offset", "millstream reset")


@pytest.mark.parametrize("partitions", [4, 3])
def test_a_sink_with_the_results_of_others_keeps_no_group_from_beginning(
    new_job: NewJob, partitions: int
) -> None:
    job = new_job(MODEL, settings={"group_id": "first"})
    job.settings["group_id"] = f"{job.app}.first"
    job.kafka.create_topic(job.sink(MODEL), partitions)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.run()
    job.settings["group_id"] = f"{job.app}.second"
    assert job.run()["consumed"] == 2_000
