"""SIGTERM and SIGINT end a run in order: exit code 0, one last commit, and the next run goes on there."""

from __future__ import annotations

import signal

import pytest

from .checks import assert_exact
from .conftest import NewJob
from .job import Guarantee
from .load import chunks, load
from .oracle import Model

MODEL = Model("m", 10_000, 1_000, grace=2_000, options={"max_batch": 16})


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_run_in_order(new_job: NewJob, guarantee: Guarantee, signum: signal.Signals) -> None:
    # Slow enough that nobody is stopped for as long as this would take.
    job = new_job(MODEL, guarantee=guarantee, delay=0.5)
    first, second, last = chunks(load(9_000, span=90_000), 3)
    worker = job.start()
    job.kafka.produce(job.source.topic, first)
    worker.until(lambda: job.progress() > 0, "its first commit")
    job.kafka.produce(job.source.topic, second)
    assert job.progress() < len(first) + len(second), "the signal would come after all the work was done"
    worker.send(signum)
    metrics = worker.finish()

    committed = {
        int(partition): state["committed_offset"]
        for partition, state in metrics["sources"][job.source.topic]["partitions"].items()
    }
    ends = job.ends()
    assert {p: committed[p] for p in ends} == ends
    job.kafka.produce(job.source.topic, last)
    job.delay = 0.0
    job.run()
    # Exact under both guarantees: what a run that ends in order has produced, it has committed.
    assert_exact(job, job.expected())


def test_a_signal_ends_a_run_that_has_nothing_to_do(new_job: NewJob) -> None:
    job = new_job(MODEL)
    worker = job.start()
    worker.until(lambda: len(job.ends()) == 4, "the start offsets are committed")
    worker.send(signal.SIGINT)
    worker.finish()
