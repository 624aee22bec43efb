"""What is wrong is told by the first line that complains: the thing, its value and what to do, and no secret.

A broker of its own, that asks for a password where the tests' other clients do not look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .broker import Broker, free_ports
from .clients import Kafka
from .command import Commands, Said
from .job import Job
from .judge import Source
from .load import load
from .oracle import Model
from .runner import Workers

MODEL = Model("m", 10_000, 10_000, grace=0)
RIGHT, WRONG = "the-r1ght-password", "a-wr0ng-password"
SASL = (
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms=PLAIN",
    "listener.name.proxied.plain.sasl.jaas.config="
    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_app="{RIGHT}";',
)
COMPLAINT = re.compile(r"^(?:Error: |\S+ \S+ (?:WARNING|ERROR) )(.*)$", re.M)


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Kafka, str]]:
    """A client of a broker, and where it asks for a password."""
    (port,) = free_ports(1)
    with Broker(*SASL, proxied=port, proxy=port) as broker, Kafka(broker.bootstrap) as kafka:
        kafka.create_topic("first.source")
        kafka.produce("first.source", load(400, span=60_000))
        yield kafka, f"127.0.0.1:{port}"


@pytest.fixture
def job(guarded: tuple[Kafka, str], request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Job]:
    """A job that runs, with the right password."""
    kafka, brokers = guarded
    workers = Workers(tmp_path)
    name = request.node.name.replace("_", "-")
    yield Job(kafka, workers, name, Source("first.source"), (MODEL,), settings=asking(brokers, RIGHT))
    workers.end()


def asking(brokers: str, password: str) -> dict[str, Any]:
    """The settings of an app at a broker that asks for a password."""
    kafka = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "app",
        "sasl.password": password,
    }
    return {"brokers": brokers, "kafka": kafka}


def run(job: Job, tmp_path: Path, **changes: Any) -> Said:
    """Run the command line on a job with some of its configuration changed."""
    config = {**job.config({}), **changes}
    return Commands(tmp_path).run_config(config, "run", "--until", "end", "--no-web")


def first(said: Said) -> str:
    """The first line that complains."""
    found = COMPLAINT.search(said.err)
    assert found, said.err
    return found[1]


def test_the_right_password_is_no_error(job: Job, tmp_path: Path) -> None:
    said = run(job, tmp_path)
    assert said.code == 0, said.err
    assert "sasl." not in said.err


def test_a_wrong_password(job: Job, tmp_path: Path, guarded: tuple[Kafka, str]) -> None:
    said = run(replace(job, settings=asking(guarded[1], WRONG)), tmp_path)
    line = first(said)
    assert said.code == 1
    assert all(words in line for words in (guarded[1], "uthentication failed", "sasl.")), line
    assert WRONG not in said.err
    assert len(said.err.splitlines()) < 20, "it is said once"


def test_a_wrong_topic(job: Job, tmp_path: Path) -> None:
    said = run(replace(job, source=Source("first.sorce")), tmp_path)
    line = first(said)
    assert said.code == 2
    assert all(words in line for words in ('"first.sorce"', "does not exist", "create it")), line


def test_a_wrong_field(job: Job, tmp_path: Path) -> None:
    (topic,) = job.config({})["topics"]
    said = run(job, tmp_path, topics=[{**topic, "fields": ["sequence"]}])
    line = first(said)
    wanted = ("first.source [", "offset 0", 'field "sequence" is absent', f"{job.app}.dead-letter", "Topic")
    assert all(words in line for words in wanted), line
    assert said.err.count("is absent") == 1
    assert "missing_field 400" in said.err


def test_a_dead_broker(job: Job, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    said = run(replace(job, settings={"brokers": f"127.0.0.1:{port}"}), tmp_path)
    line = first(said)
    assert said.code == 1
    assert all(words in line for words in (f"127.0.0.1:{port}", "refused", "brokers=")), line


def test_a_failing_model(job: Job, tmp_path: Path) -> None:
    key = next(
        record.key.decode() for record in load(400, span=60_000) if record.key and record.key.isascii()
    )
    said = run(job, tmp_path, failing=[key])
    line = first(said)
    assert all(words in line for words in ("model m", "ValueError", key, "first.source", "dead-letter")), line
