"""Limits of state on a real cluster: a restart that would read back too much says so, and loses nothing."""

from __future__ import annotations

from dataclasses import replace

from .checks import assert_exact
from .conftest import NewJob
from .load import chunks, load
from .oracle import Model

MODEL = Model("m", 10_000, 1_000, grace=2_000, options={"late": "topic"})


def test_a_restore_beyond_a_limit_ends_with_it_and_a_higher_limit_goes_on(new_job: NewJob) -> None:
    job = new_job(MODEL)
    first, last = chunks(load(4_000, span=60_000), 2)
    job.kafka.produce(job.source.topic, first)
    job.run()
    ends = job.ends()
    for limit in ("max_events_per_key", "max_keys"):
        message = replace(job, settings={limit: 1}).start(until="end").fail("StateLimitError")
        assert f"{limit}=1 is exceeded" in message
        assert "which is being read back" in message
    assert job.ends() == ends
    job.kafka.produce(job.source.topic, last)
    replace(job, settings={"max_events_per_key": 4_000, "max_keys": 4_000, "max_state_bytes": "64MiB"}).run()
    assert_exact(job, job.expected())
