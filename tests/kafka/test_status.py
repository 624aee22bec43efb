"""The status server on real transactions: what a member counts, and one that goes on where another ended."""

from __future__ import annotations

import http.client
import re
import signal

from .conftest import NewJob
from .load import load
from .oracle import Model
from .runner import Worker

MODEL = Model("m", 10_000, 1_000, grace=2_000)


def ask(worker: Worker, path: str) -> tuple[int, str]:
    """Status and body of a request to the page of a worker, once it has said where that is."""
    worker.until(lambda: "status page at" in worker.log, "the status page is said")
    found = re.search(r"status page at http://(\S+)", worker.log)
    assert found
    connection = http.client.HTTPConnection(found[1], timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    said = response.status, response.read().decode()
    connection.close()
    return said


def samples(worker: Worker) -> dict[str, float]:
    """The metrics of a worker, without the labels of the only topic and model."""
    lines = (line for line in ask(worker, "/metrics")[1].splitlines() if not line.startswith("#"))
    pairs = (re.sub(r"\{.*\}", "", line).rsplit(" ", 1) for line in lines if "reason=" not in line)
    return {name: float(value) for name, value in pairs if "_bucket" not in name}


def counted(found: dict[str, float]) -> bool:
    """Whether each commit is in both of its metrics, which one after the other are told of it."""
    commits = found["millstream_transactions_committed_total"]
    return 0 < commits == found["millstream_commit_duration_seconds_count"]


def test_a_member_that_takes_over_says_that_it_has_read_state_back(new_job: NewJob) -> None:
    job = new_job(MODEL, settings={"web": "127.0.0.1:0"})
    total = len(job.kafka.produce(job.source.topic, load(4_000, span=60_000)))
    worker = job.start()
    worker.until(lambda: ask(worker, "/readyz")[0] == 200, "the first member is ready")
    worker.until(lambda: job.progress() == total, "all is committed")
    worker.until(lambda: counted(samples(worker)), "all that is committed is counted")
    first = samples(worker)
    assert first["millstream_windows_produced_total"] > 0
    assert first["millstream_events_consumed_total"] == total
    assert first["millstream_restores_total"] == 0
    assert first["millstream_rebalances_total"] >= 1
    worker.send(signal.SIGTERM)
    worker.finish()

    job.kafka.produce(job.source.topic, load(400, span=60_000, seed=8))
    worker = job.start()
    worker.until(lambda: ask(worker, "/readyz")[0] == 200, "the second member is ready")
    second = samples(worker)
    assert second["millstream_restores_total"] == 4
    assert second["millstream_events_consumed_total"] == 400
    worker.send(signal.SIGTERM)
    worker.finish()
