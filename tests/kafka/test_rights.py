"""A right that is missing is named with what it is on, before anything is consumed.

A broker of its own, with an authorizer: everybody may do to a thing what they like until an ACL speaks of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from .broker import Broker
from .clients import Kafka
from .command import Commands
from .job import Guarantee, Job
from .judge import Source
from .load import BASE
from .oracle import Model
from .records import Record
from .runner import Workers

AUTHORIZER = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
OPEN = "allow.everyone.if.no.acl.found=true"
MODEL = Model("m", 10_000, 1_000, grace=2_000)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Kafka]:
    """A client of a broker with an authorizer."""
    with Broker(AUTHORIZER, OPEN) as broker, Kafka(broker.bootstrap) as kafka:
        yield kafka


@pytest.fixture
def job(guarded: Kafka, tmp_path: Path) -> Iterator[Job]:
    """An app whose topics are there."""
    workers = Workers(tmp_path)
    job = Job(guarded, workers, "guarded", Source("guarded.source"), (MODEL,))
    for topic in (job.source.topic, job.sink(MODEL), job.dead_letter_topic):
        if not guarded.partitions(topic):
            guarded.create_topic(topic)
    yield job
    workers.end()


def test_a_missing_right_is_named_with_what_it_is_on(job: Job, tmp_path: Path) -> None:
    commands = Commands(tmp_path)
    assert commands.run(job, "check").code == 0
    source, sink = job.source.topic, job.sink(MODEL)
    for topic in (source, sink):
        job.kafka.allow_describe("topic", topic, "ANONYMOUS")
    job.kafka.allow_describe("group", job.app, "ANONYMOUS")
    said = commands.run(job, "check", "--json")
    assert said.code == 1
    errors = said.found("error", "rights")
    wanted = [("READ", source), ("WRITE", sink), ("READ", job.app)]
    assert len(errors) == len(wanted)
    for text, (right, name) in zip(errors, wanted, strict=True):
        assert f'"{name}"' in text
        assert right in text
    assert job.start(until="end").fail("KafkaError") == errors[0]
    assert job.ends() == {}


def test_what_may_not_be_seen_is_not_said_to_be_missing(job: Job, tmp_path: Path) -> None:
    hidden = replace(job, app="hidden", source=Source("hidden.source"))
    static = {"kafka": {"group.instance.id": "one"}}
    named = replace(job, app="named", source=Source("named.source"), settings=static)
    job.kafka.create_topic(hidden.source.topic)
    job.kafka.create_topic(named.source.topic)
    job.kafka.allow_describe("topic", hidden.source.topic, "another")
    job.kafka.allow_describe("transactional_id", "named-one-0", "another")
    said = Commands(tmp_path).run(hidden, "check", "--json")
    (text,) = said.found("error")
    assert all(word in text for word in (hidden.source.topic, "DESCRIBE"))
    message = named.start(until="end").fail("KafkaError")
    assert all(word in message for word in ("named-one-0", "WRITE", "transactional id"))


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_replay_without_the_right_to_transactions(job: Job, tmp_path: Path, guarantee: Guarantee) -> None:
    app = f"replays-{guarantee}"
    job = replace(job, app=app, source=Source(f"{app}.source"), guarantee=guarantee)
    job.kafka.create_topic(job.source.topic)
    job.kafka.produce(job.source.topic, [Record(0, b"k", b"{", BASE)])
    job.run()
    job.kafka.allow_describe("transactional_id", f"{app}.dlq-replay", "another")
    commands = Commands(tmp_path)
    said = commands.run(job, "dlq replay")
    if guarantee == "exactly_once":
        assert said.code == 1
        assert all(word in said.err for word in (f"{app}.dlq-replay", "WRITE", "transactional id"))
        assert "Traceback" not in said.err
    else:
        assert said.code == 0, said.err
        assert "1 records have gone back" in said.out
        assert "without transactions" in said.out
        assert "nothing to replay" in commands.run(job, "dlq replay").out
        job.kafka.allow_describe("group", f"{app}.dlq-replay", "another")
        said = commands.run(job, "dlq replay")
        assert said.code == 1, said.out
        assert all(word in said.err for word in (f"{app}.dlq-replay", "READ", "group")), said.err
