"""`millstream check` says what a run would meet, with the fix, and leaves everything as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .command import Commands
from .conftest import NewJob
from .job import Job
from .judge import Source
from .load import load
from .oracle import Model
from .records import Record

MODEL = Model("m", 10_000, 1_000, grace=30_000)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Runs commands."""
    return Commands(tmp_path)


def state(job: Job) -> Any:
    """All that a check could have changed."""
    group = job.committed()
    own = [job.sink(MODEL), job.dead_letter_topic, job.late_topic]
    return group, [job.kafka.partitions(topic) for topic in own]


def test_what_can_run_has_no_error_and_stays_as_it_is(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    before = state(job)
    said = commands.run(job, "check", "--json")
    assert (said.code, said.found("error"), said.found("warning")) == (0, [], [])
    checks = "settings brokers transactions topics rights retention replay group records lateness models"
    assert {finding["check"] for finding in said.findings} == set(checks.split())
    assert state(job) == before
    job.run()
    before = state(job)
    said = commands.run(job, "check")
    assert said.code == 0
    assert "can go on" in said.out
    assert "0 records behind its end" in said.out
    assert state(job) == before


def test_a_missing_source_is_named(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    said = commands.run(replace(job, source=Source(f"{job.app}.absent")), "check", "--json")
    assert said.code == 1
    (text,) = said.found("error", "topics")
    assert f"{job.app}.absent" in text


def test_records_that_are_no_events_are_told_by_reason(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    records = load(400, span=10_000)
    poison = [Record(0, b"k", b"{", 1), Record(1, b"k", b'{"seq": 1}', 1), Record(1, None, b"{}", 1)]
    job.kafka.produce(job.source.topic, records + poison)
    said = commands.run(job, "check", "--json")
    assert said.code == 0
    (text,) = said.found("warning", "records")
    assert all(
        word in text for word in ("3 of 403", "1 not_json", "1 bad_timestamp", "1 missing_key", "offset")
    )


def test_a_wrong_declaration_is_an_error(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, source={"fields": ("absent",)})
    job.kafka.produce(job.source.topic, load(400, span=10_000))
    said = commands.run(job, "check", "--json")
    assert said.code == 1
    (text,) = said.found("error", "records")
    assert "400 missing_field" in text


def test_a_wrong_unit_and_a_key_that_decides_nothing_are_errors(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, partitions=2, source={"key": "device"})
    now = 1_764_000_000_000
    values = [json.dumps({"ts": (now + n) // 1000, "seq": n, "device": "w1"}).encode() for n in range(300)]
    job.kafka.produce(job.source.topic, [Record(n % 2, b"w1", v, now + n) for n, v in enumerate(values)])
    said = commands.run(job, "check", "--json")
    assert said.code == 1
    unit, key = said.found("error", "records")
    assert "timestamp_unit" in unit
    assert "scattered" in key


def test_a_grace_that_is_too_short_is_warned_of_with_one_that_covers(
    new_job: NewJob, commands: Commands
) -> None:
    job = new_job(replace(MODEL, grace=1_000))
    job.kafka.produce(job.source.topic, load(4_000, span=60_000))
    said = commands.run(job, "check", "--json")
    assert said.code == 0
    (text,) = said.found("warning", "lateness")
    assert all(word in text for word in ("model m", "1000 ms", "grace="))


@pytest.mark.parametrize(
    ("config", "check", "words"),
    [
        ({"retention_ms": "60000"}, "retention", ["60000", "80000", "retention.ms"]),
        ({"cleanup_policy": "compact,delete"}, "compaction", ["compact,delete", "cleanup.policy=delete"]),
    ],
)
def test_a_source_that_forgets_is_told(
    new_job: NewJob, commands: Commands, config: dict[str, str], check: str, words: list[str]
) -> None:
    job = new_job(MODEL, config=config)
    said = commands.run(job, "check", "--json")
    level = "error" if check == "compaction" else "warning"
    assert said.code == (1 if level == "error" else 0)
    (text,) = said.found(level, check)
    assert all(word in text for word in [job.source.topic, *words])


def test_a_sink_that_keeps_less_than_its_source_is_warned_of(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.create_topic(job.sink(MODEL), retention_ms="3600000")
    said = commands.run(job, "check", "--json")
    (text,) = said.found("warning", "retention")
    assert job.sink(MODEL) in text
    assert "3600000" in text


def test_an_unequal_chain_is_an_error_before_its_topics_are_made(new_job: NewJob, commands: Commands) -> None:
    up = new_job(MODEL)
    middle = up.sink(MODEL)
    up.kafka.create_topic(middle, 3)
    down = Job(up.kafka, up.workers, up.app, Source(middle, timestamp=None), (replace(MODEL, name="next"),))
    config, more = up.config({}), down.config({})
    config["topics"] += more["topics"]
    config["models"] += more["models"]
    said = commands.run_config(config, "check", "--json")
    assert said.code == 1
    (text,) = said.found("error", "chains")
    assert all(word in text for word in (middle, up.source.topic, "3", "4"))


def test_a_group_that_a_run_could_not_go_on_with_is_an_error(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.run()
    said = commands.run(replace(job, models=(replace(MODEL, size=20_000),)), "check", "--json")
    assert said.code == 1
    (text,) = said.found("error", "group")
    assert "--adopt" in text


@pytest.mark.parametrize(
    ("setting", "value", "limit"),
    [
        ("transaction.timeout.ms", 900_001, "transaction.max.timeout.ms (900000)"),
        ("session.timeout.ms", 1_800_001, "group.max.session.timeout.ms (1800000)"),
    ],
)
def test_a_time_out_beyond_the_brokers_limit_is_refused_before_anything_is_consumed(
    new_job: NewJob, commands: Commands, setting: str, value: int, limit: str
) -> None:
    job = new_job(MODEL, settings={"kafka": {setting: value, "max.poll.interval.ms": 2_000_000}})
    said = commands.run(job, "check", "--json")
    assert said.code == 1
    (text,) = said.found("error")
    assert all(word in text for word in (setting, str(value), limit))
    assert job.start(until="end").fail("ConfigError") == text
    assert state(job) == ({}, [0, 0, 0])


def test_a_run_warns_of_what_a_check_warns_of(new_job: NewJob) -> None:
    job = new_job(MODEL, config={"retention_ms": "60000"})
    worker = job.start(until="end")
    worker.finish()
    assert "less than twice the 40000 ms" in worker.log


def test_a_restart_says_that_retention_has_nearly_overtaken_it(new_job: NewJob) -> None:
    job = new_job(replace(MODEL, size=600_000), partitions=1)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000, partitions=1))
    job.run()
    late = load(4_000, span=2_400_000, partitions=1)[2_000:]
    job.kafka.produce(job.source.topic, late)
    job.run()
    ((_, metadata),) = job.committed().values()
    first = json.loads(metadata)["r"]
    assert first > 0
    job.kafka.delete_records(job.source.topic, {0: first})
    worker = job.start(until="end")
    worker.finish()
    assert f"the log begins at {first}, only 0 records before them" in worker.log
