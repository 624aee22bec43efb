"""Members of a group come and go in mid-run, and no window notices."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from .checks import assert_outputs
from .conftest import NewJob
from .job import Guarantee, Job
from .load import chunks, load
from .oracle import Model
from .runner import Worker

QUIET = 30  # looks in a row
PACE = 0.2  # seconds


def produced(worker: Worker) -> int:
    """How many windows this member has produced."""
    models = worker.metrics.get("models", {})
    return sum(counts["windows_produced"] for counts in models.values())


def partitions(worker: Worker) -> list[str]:
    """The partitions that a member has."""
    (source,) = worker.metrics.get("sources", {"": {"partitions": {}}}).values()
    return list(source["partitions"])


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("guarantee", "strategy"),
    [
        ("exactly_once", "cooperative-sticky"),
        ("at_least_once", "cooperative-sticky"),
        ("exactly_once", "range"),
    ],
)
def test_members_that_come_and_go_change_no_window(
    new_job: NewJob, guarantee: Guarantee, strategy: str
) -> None:
    model = Model("m", 10_000, 1_000, grace=2_000, options={"max_batch": 32})
    settings = {"kafka": {"partition.assignment.strategy": strategy}}
    job = new_job(model, guarantee=guarantee, settings=settings, delay=0.01)
    # Enough at once for the first windows, the rest in pieces that last for three minutes, if need be.
    begin, *pieces = chunks(load(18_000, span=150_000), 9)
    written = len(job.kafka.produce(job.source.topic, begin))
    pieces = [part for piece in pieces for part in chunks(piece, 40)]

    def feed_until(condition: Callable[[], bool], worker: Worker) -> None:
        """Write on, so that partitions change hands under load: less of it later, so that it lasts."""
        nonlocal written
        while pieces and not condition():
            if not worker.running:
                raise worker.failed("ended of itself")
            written += len(job.kafka.produce(job.source.topic, pieces.pop(0)))
            time.sleep(PACE if len(pieces) > 200 else 4 * PACE)
        assert condition(), "the records ran out first"

    first = job.start()
    feed_until(lambda: produced(first) > 0, first)
    second = job.start()
    feed_until(lambda: produced(second) > 0, second)
    first.send(signal.SIGTERM)
    feed_until(lambda: not first.running, second)
    first.finish()
    mark = produced(second)
    feed_until(lambda: produced(second) > mark, second)
    written += len(job.kafka.produce(job.source.topic, [record for piece in pieces for record in piece]))
    second.until(lambda: job.progress() == written, "the end of the source")
    second.send(signal.SIGINT)
    second.finish()

    assert_outputs(job, job.expected())


@pytest.mark.timeout(400)
def test_a_model_slower_than_the_poll_interval_does_not_cost_the_membership(new_job: NewJob) -> None:
    # Few windows, as each call takes its time.
    model = Model("m", 10_000, 10_000, grace=2_000)
    limits = {"max.poll.interval.ms": 10_000, "session.timeout.ms": 10_000}
    job = new_job(model, settings={"kafka": limits}, delay=11.0)
    job.kafka.produce(job.source.topic, load(200, span=20_000))
    worker = job.start()
    # How many calls it takes depends on how the events come.
    worker.until(lambda: job.progress() == 200, "the commit of what the model was slow with", 250.0)
    assert worker.metrics["rebalances"] == 1
    worker.send(signal.SIGTERM)
    worker.finish()
    assert_outputs(job, job.expected())


def settled(worker: Worker, job: Job) -> int:
    """Return its number of rebalances once that has stayed the same for a while.

    The while is counted in reports of the worker, between two of which the broker has answered: where one of
    them was stopped, no time has passed.
    """
    before, looks, seen = -1, 0, 0
    while looks < QUIET:
        worker.until(lambda seen=seen: worker.written != seen, "another report")  # type: ignore[misc]
        seen, now = worker.written, worker.metrics["rebalances"]
        before, looks = now, looks + 1 if now == before else 0
        job.progress()
    return before


def test_a_static_member_that_is_restarted_costs_the_others_no_rebalance(new_job: NewJob) -> None:
    model = Model("m", 10_000, 1_000, grace=2_000)
    job = new_job(model)
    members = [
        replace(job, settings={"kafka": {"group.instance.id": f"member-{n}", "session.timeout.ms": 180_000}})
        for n in (1, 2)
    ]
    pieces = chunks(load(6_000, span=60_000), 3)
    job.kafka.produce(job.source.topic, pieces[0])
    first, second = [member.start() for member in members]
    second.until(lambda: len(partitions(first)) == len(partitions(second)) == 2, "two partitions each")
    before = settled(first, job)

    second.send(signal.SIGTERM)
    second.finish()
    job.kafka.produce(job.source.topic, pieces[1])
    second = members[1].start()
    job.kafka.produce(job.source.topic, pieces[2])
    second.until(lambda: job.progress() == 6_000, "the end of the source")

    assert first.metrics["rebalances"] == before
    for worker in (first, second):
        worker.send(signal.SIGTERM)
        worker.finish()
    assert_outputs(job, job.expected())
