"""A partition that went quiet closes its windows, once and for good."""

from __future__ import annotations

import signal
from dataclasses import replace

from .checks import assert_exact, assert_late
from .conftest import NewJob
from .load import BASE, load
from .oracle import Model, expect
from .records import as_log, event

MODEL = Model("m", 10_000, 1_000, grace=2_000, options={"late": "topic"})
LONG_AGO = {p: 1 << 40 for p in range(4)}


def test_a_quiet_partition_closes_its_windows(new_job: NewJob) -> None:
    job = new_job(MODEL, source={"options": {"idle_timeout": "1s"}})
    span = 60_000
    written = job.kafka.produce(job.source.topic, load(4_000, span=span))
    # The topic ends in a marker, so that being caught up is not a matter of the last record's offset.
    job.kafka.transaction(job.source.topic, load(100, span=span, seed=8)).abort()
    idled = expect(as_log(written), job.source, [MODEL], drains=[LONG_AGO]).counts["m"]["windows_produced"]
    assert idled > expect(as_log(written), job.source, [MODEL]).counts["m"]["windows_produced"]

    worker = job.start()
    worker.until(lambda: windows(worker.metrics) == idled, "all windows are closed")
    worker.send(signal.SIGTERM)
    worker.finish()
    quiet_since = job.ends()
    # The restart must know that those windows are gone, though no record says so.
    job.kafka.produce(job.source.topic, [event(p, "key-00", BASE + span, 10_000 + p) for p in range(4)])
    # It is over before any partition has been quiet for long, however slow it is.
    replace(job, source=replace(job.source, options={"idle_timeout": None})).run()

    verdict = job.expected(drains=[quiet_since])
    assert {partition for _, partition, offset in verdict.late if offset >= quiet_since[partition]} == {
        0,
        1,
        2,
        3,
    }
    assert_exact(job, verdict)
    assert_late(job, verdict)


def windows(metrics: dict[str, object]) -> object:
    """The windows produced so far."""
    return metrics.get("windows")
