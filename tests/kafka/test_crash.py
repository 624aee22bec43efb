"""A killed worker loses nothing: exactly once stays exact, at least once repeats only what it said before."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from .checks import assert_outputs
from .conftest import NewJob
from .job import SHORT, Guarantee, Job
from .load import chunks, load
from .oracle import Model

STATIC = {"group.instance.id": "one"}  # its successor takes over at once, so there is time for more kills


def ahead_of(job: Job, before: int) -> Callable[[], bool]:
    """Whether the group has committed more than it had."""
    return lambda: job.progress() > before


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("guarantee", "member", "kills"),
    [
        pytest.param("exactly_once", SHORT, 2, id="exactly_once"),
        pytest.param("exactly_once", STATIC, 6, id="exactly_once_static_member"),
        pytest.param("at_least_once", STATIC, 6, id="at_least_once_static_member"),
    ],
)
def test_a_killed_worker_loses_no_window(
    new_job: NewJob, guarantee: Guarantee, member: dict[str, Any], kills: int
) -> None:
    # Short epochs under a steady trickle: at any moment work is in the model or half committed.
    model = Model("m", 10_000, 1_000, grace=2_000, options={"max_batch": 32})
    settings = {"kafka": member, "epoch": "10ms"}
    job = new_job(model, guarantee=guarantee, settings=settings, delay=0.002)
    pieces = chunks(load(15_000, span=120_000), 600)
    written = 0

    def feed(count: int) -> None:
        nonlocal written
        for _ in range(count):
            written += len(job.kafka.produce(job.source.topic, pieces.pop(0)))

    moments = random.Random(kills)
    for _ in range(kills):
        worker = job.start()
        before = job.progress()
        feed(1)
        worker.until(ahead_of(job, before), "a commit of its own")
        feed(moments.randrange(20, 90))
        worker.kill_amid(lambda: job.progress() < written, lambda: feed(1))
    feed(len(pieces))
    job.run()

    assert sum(job.ends().values()) == written
    assert_outputs(job, job.expected())
