"""A model on another model's results: exact, in event-time order, in one app."""

from __future__ import annotations

from typing import Any

from .checks import assert_exact, flat
from .conftest import NewJob
from .job import Job
from .judge import Source
from .load import chunks, load
from .oracle import Model

FIRST = Model("first", 5_000, 1_000, grace=2_000)
SECOND = Model("second", 10_000, 5_000, grace=0)


def chain(up: Job) -> Job:
    """The half of the app that reads what the first model writes, by its timestamps, idling by default."""
    source = Source(up.sink(FIRST), timestamp=None, options={"idle_timeout": "auto"})
    return Job(up.kafka, up.workers, up.app, source, (SECOND,))


def run(up: Job, down: Job, **how: Any) -> dict[str, Any]:
    """Run both halves as one app up to the end of the first one's source."""
    how["until"] = "end"
    config, more = up.config(how), down.config(how)
    config["topics"] += more["topics"]
    config["models"] += more["models"]
    return up.workers.start(config).finish()


def test_a_chained_model_sees_every_result_in_order(new_job: NewJob) -> None:
    up = new_job(FIRST)
    down = chain(up)
    totals = 0
    for piece in chunks(load(10_000, span=100_000), 2):
        up.kafka.produce(up.source.topic, piece)
        metrics = run(up, down)
        totals += metrics["sources"][down.source.topic]["consumed"]
        assert metrics["models"]["second"]["late_pairs"] == 0

    assert_exact(up, up.expected())
    assert_exact(down, down.expected())
    assert totals == len(flat(up.results(FIRST)))


def test_a_drain_goes_down_the_chain(new_job: NewJob) -> None:
    up = new_job(FIRST)
    down = chain(up)
    up.kafka.produce(up.source.topic, load(4_000, span=60_000))

    metrics = run(up, down, drain=True)

    assert metrics["models"]["second"]["late_pairs"] == 0
    assert_exact(up, up.expected(drains=[up.ends()]))
    verdict = down.expected(drains=[down.ends()])
    assert_exact(down, verdict)
    # Nothing stayed open: each result of the first model is in both windows of the second that hold its time.
    held = sum(len(window.seqs) for parts in verdict.windows["second"].values() for window in parts)
    assert held == 2 * verdict.consumed
