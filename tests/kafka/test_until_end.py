"""`until="end"`: a run ends when all is processed and committed, whatever the topic ends in; not before."""

from __future__ import annotations

import time
from typing import Literal

import pytest

from .checks import assert_counts, assert_exact, assert_late, flat
from .conftest import NewJob
from .load import BASE, chunks, load
from .oracle import Model
from .records import event

MODEL = Model("m", 10_000, 1_000, grace=2_000, options={"late": "topic"})
Ending = Literal["commit", "abort"]


def test_a_topic_without_records_ends_at_once(new_job: NewJob) -> None:
    job = new_job(MODEL)
    assert job.run()["consumed"] == 0
    assert flat(job.results(MODEL)) == []


def test_an_empty_partition_holds_nothing_up(new_job: NewJob) -> None:
    job = new_job(MODEL, partitions=5)
    job.kafka.produce(job.source.topic, load(4_000, span=60_000, partitions=4))
    metrics = job.run()
    verdict = job.expected()
    assert verdict.windows["m"][4] == []
    assert_exact(job, verdict)
    assert_counts(job, metrics, verdict)


def test_a_second_run_with_nothing_new_does_nothing(new_job: NewJob) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(4_000, span=60_000))
    job.run()
    ends, results = job.ends(), job.results(MODEL)
    metrics = job.run()
    assert metrics["consumed"] == 0
    assert (job.ends(), job.results(MODEL)) == (ends, results)


def test_a_second_run_goes_on_with_the_open_windows(new_job: NewJob) -> None:
    job = new_job(MODEL)
    for piece in chunks(load(6_000, span=60_000), 3):
        job.kafka.produce(job.source.topic, piece)
        assert job.run()["consumed"] == len(piece)
    verdict = job.expected()
    assert_exact(job, verdict)
    assert_late(job, verdict)


@pytest.mark.parametrize("ending", ["commit", "abort"])
def test_a_topic_may_end_in_a_transaction_marker(new_job: NewJob, ending: Ending) -> None:
    job = new_job(MODEL)
    first, last = chunks(load(4_000, span=60_000), 2)
    job.kafka.produce(job.source.topic, first)
    transaction = job.kafka.transaction(job.source.topic, last)
    transaction.commit() if ending == "commit" else transaction.abort()

    metrics = job.run()
    assert job.run()["consumed"] == 0

    verdict = job.expected()
    assert verdict.consumed == len(first) + (len(last) if ending == "commit" else 0)
    assert_exact(job, verdict)
    assert_counts(job, metrics, verdict)


@pytest.mark.parametrize("ending", ["commit", "abort"])
def test_a_run_does_not_end_before_an_open_transaction(new_job: NewJob, ending: Ending) -> None:
    job = new_job(MODEL)
    first, last = chunks(load(4_000, span=60_000), 2)
    job.kafka.produce(job.source.topic, first)
    transaction = job.kafka.transaction(job.source.topic, last)

    worker = job.start(until="end")
    worker.until(lambda: job.progress() == len(first), "all that can be read is committed")
    worker.until(lambda: "transaction" in worker.log, "what it waits for is said")
    time.sleep(2)  # time enough for a run that does not wait to end
    assert worker.running
    transaction.commit() if ending == "commit" else transaction.abort()
    metrics = worker.finish()

    verdict = job.expected()
    assert verdict.consumed == len(first) + (len(last) if ending == "commit" else 0)
    assert_exact(job, verdict)
    assert_counts(job, metrics, verdict)


def test_a_drained_window_is_final(new_job: NewJob) -> None:
    job = new_job(MODEL)
    span = 60_000
    job.kafka.produce(job.source.topic, load(4_000, span=span))
    job.run(drain=True)
    drained = job.ends()

    # Their time is the clock's own: they are late only because the windows that hold it have been drained.
    again = [event(p, "key-00", BASE + span, 10_000 + p) for p in range(4)]
    onward = [event(p, "key-00", BASE + span + 30_000, 20_000 + p) for p in range(4)]
    job.kafka.produce(job.source.topic, again + onward)
    job.run(drain=True)

    verdict = job.expected(drains=[drained, job.ends()])
    assert {partition for _, partition, offset in verdict.late if offset >= drained[partition]} == {
        0,
        1,
        2,
        3,
    }
    assert_exact(job, verdict)
    assert_late(job, verdict)
