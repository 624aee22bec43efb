"""A broker that is away for longer than a transaction may last is waited for, and the run goes on exactly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .broker import Broker
from .checks import assert_outputs
from .clients import Kafka
from .job import SHORT, Guarantee, Job
from .judge import Source
from .load import chunks, load
from .oracle import Model
from .runner import Workers

AWAY_SECONDS = 14


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker of this test's own."""
    with Broker() as broker:
        yield broker


@pytest.mark.timeout(240)
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_broker_that_is_away_is_waited_for(broker: Broker, tmp_path: Path, guarantee: Guarantee) -> None:
    model = Model("m", 10_000, 1_000, grace=2_000, options={"max_batch": 32})
    workers = Workers(tmp_path)
    settings = {"epoch": "10ms", "kafka": {**SHORT, "transaction.timeout.ms": 10_000}}
    with Kafka(broker.bootstrap) as kafka:
        kafka.create_topic("away.source")
        job = Job(
            kafka, workers, "away", Source("away.source"), (model,), guarantee, settings=settings, delay=0.002
        )
        pieces = chunks(load(15_000, span=120_000), 600)
        for piece in pieces[:10]:
            kafka.produce(job.source.topic, piece)
        worker = job.start()
        worker.until(lambda: job.progress() > 0, "its first commit")
        for piece in pieces[10:]:
            kafka.produce(job.source.topic, piece)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            time.sleep(AWAY_SECONDS)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert worker.running, worker.failed("ended while the broker was away")
        worker.until(lambda: job.progress() == 15_000, "the last commit")
        worker.send(signal.SIGTERM)
        worker.finish()
        verdict = job.expected()
        assert_outputs(job, verdict)
        workers.end()
