"""A killed worker loses nothing: exactly once stays exact, at least once repeats only what it said before."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .checks import assert_outputs
from .conftest import NewJob
from .job import Guarantee, Job
from .load import chunks, load
from .oracle import Model

KILLS = 2


def more_than(job: Job, before: int) -> bool:
    """Whether the group has committed more than it had."""
    return job.progress() > before


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("guarantee", "member"),
    [
        pytest.param("exactly_once", {}, id="exactly_once"),
        pytest.param("exactly_once", {"group.instance.id": "one"}, id="exactly_once_static_member"),
        pytest.param("at_least_once", {}, id="at_least_once"),
    ],
)
def test_a_killed_worker_loses_no_window(
    new_job: NewJob, guarantee: Guarantee, member: dict[str, Any]
) -> None:
    model = Model("m", 10_000, 1_000, grace=2_000, options={"max_batch": 32})
    # Each call is slow, so that the kill finds windows waiting, in the model, and produced but not committed.
    job = new_job(model, guarantee=guarantee, settings={"kafka": member}, delay=0.03)
    pieces = iter(chunks(load(15_000, span=120_000), 2 * KILLS + 1))
    written = 0

    def feed() -> None:
        nonlocal written
        written += len(job.kafka.produce(job.source.topic, next(pieces)))

    for _ in range(KILLS):
        worker = job.start()
        before = job.progress()
        feed()
        worker.until(partial(more_than, job, before), "a commit of its own")
        feed()
        worker.kill()
        assert job.progress() < written, "the kill came after all the work was done"
    feed()
    job.run()

    assert job.progress() == written
    assert_outputs(job, job.expected())
