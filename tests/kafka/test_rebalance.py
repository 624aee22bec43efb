"""Members of a group come and go in mid-run, and no window notices."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from .checks import assert_outputs
from .conftest import NewJob
from .job import Guarantee
from .load import chunks, load
from .oracle import Model
from .runner import Worker


def produced(worker: Worker) -> int:
    """How many windows this member has produced."""
    models = worker.metrics.get("models", {})
    return sum(counts["windows_produced"] for counts in models.values())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_members_that_come_and_go_change_no_window(new_job: NewJob, guarantee: Guarantee) -> None:
    model = Model("m", 10_000, 1_000, grace=2_000, options={"max_batch": 32})
    job = new_job(model, guarantee=guarantee, delay=0.01)
    pieces = chunks(load(18_000, span=150_000), 180)
    written = 0

    def feed_until(condition: Callable[[], bool], worker: Worker) -> None:
        """Write on, a piece each fifth of a second, so that partitions change hands under load."""
        nonlocal written
        while pieces and not condition():
            if not worker.running:
                raise worker.failed("ended of itself")
            written += len(job.kafka.produce(job.source.topic, pieces.pop(0)))
            time.sleep(0.2)
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
    for piece in pieces:
        written += len(job.kafka.produce(job.source.topic, piece))
    second.until(lambda: job.progress() == written, "the end of the source")
    second.send(signal.SIGINT)
    second.finish()

    assert_outputs(job, job.expected())
