"""`millstream reset` sets a stopped group's position, after saying so; a run then begins there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from .checks import flat, same, window_of
from .command import Commands
from .conftest import NewJob
from .judge import Source
from .load import BASE, load
from .oracle import Model
from .records import event

MODEL = Model("m", 10_000, 1_000, grace=2_000)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Runs commands."""
    return Commands(tmp_path)


def test_earliest_writes_everything_again(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.run()
    once = [window_of(record, job) for record in flat(job.results(MODEL))]
    job.kafka.without_members(job.app)
    said = commands.run(job, "reset", "--to", "earliest", typed="y\n")
    assert said.code == 0
    assert f"{job.source.topic} [0]" in said.out
    assert set(job.ends().values()) == {0}
    job.run()
    twice = [window_of(record, job) for record in flat(job.results(MODEL))]
    same(sorted(twice), sorted(once * 2), "results")


def test_an_offset_begins_with_whole_windows(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, partitions=1)
    records = [event(0, "k", BASE + 500 * n, n) for n in range(200)]
    job.kafka.produce(job.source.topic, records)
    job.run()
    before = flat(job.results(MODEL))
    job.kafka.without_members(job.app)
    said = commands.run(job, "reset", "--to", "50", "--partition", "0", "--yes")
    assert said.code == 0
    assert "200 -> 50" in said.out
    ((offset, metadata),) = job.committed().values()
    fresh = json.loads(metadata)
    assert (offset, fresh["r"], fresh["t"], fresh["m"][0]["f"]) == (50, 50, None, "pending")
    job.run()
    again = [window_of(record, job) for record in flat(job.results(MODEL))][len(before) :]
    first = BASE + 500 * 50
    wanted = [window for window in (window_of(record, job) for record in before) if window.start >= first]
    same(sorted(again), sorted(wanted), "results after the reset")
    assert wanted


def test_a_time_is_the_first_record_that_is_not_before_it(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, partitions=2)
    job.kafka.produce(job.source.topic, [event(n % 2, "k", BASE + 1000 * n, n) for n in range(40)])
    said = commands.run(job, "reset", "--to", f"@{BASE + 20_000}", "--yes")
    assert (said.code, job.ends()) == (0, {0: 10, 1: 10})
    said = commands.run(job, "reset", "--to", "-1h", "--yes")
    assert (said.code, job.ends()) == (0, {0: 20, 1: 20})
    said = commands.run(job, "reset", "--to", "2023-11-14T22:13:20Z", "--partition", "1", "--yes")
    assert (said.code, job.ends()) == (0, {0: 20, 1: 0})


def test_nothing_changes_without_a_yes(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(400, span=60_000))
    assert commands.run(job, "reset", "--to", "latest", "--dry-run").code == 0
    assert commands.run(job, "reset", "--to", "latest", typed="n\n").code == 1
    assert commands.run(job, "reset", "--to", "latest").code == 1
    assert job.ends() == {}


def test_an_offset_outside_of_the_log_is_refused_with_its_bounds(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, partitions=1)
    job.kafka.produce(job.source.topic, [event(0, "k", BASE + n, n) for n in range(40)])
    job.kafka.delete_records(job.source.topic, {0: 15})
    for offset in ("14", "41"):
        said = commands.run(job, "reset", "--to", offset, "--yes")
        assert said.code == 2
        assert all(word in said.err for word in (offset, f"{job.source.topic} [0]", "15", "40"))
    assert job.ends() == {}
    assert commands.run(job, "reset", "--to", "40", "--yes").code == 0
    assert job.ends() == {0: 40}


def test_a_group_with_members_is_refused(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    worker = job.start()
    worker.until(lambda: job.progress() == 2_000, "all is committed")
    ends = job.ends()
    said = commands.run(job, "reset", "--to", "earliest", "--yes")
    assert said.code == 1
    assert "1 members" in said.err
    assert job.ends() == ends
    worker.kill()


def test_a_topic_that_is_no_source_is_refused(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    said = commands.run(job, "reset", "--to", "earliest", "--topic", "other", "--yes")
    assert said.code == 2
    assert "other" in said.err
    assert job.source.topic in said.err
    absent = replace(job, source=Source(f"{job.app}.absent"))
    said = commands.run(absent, "reset", "--to", "earliest", "--yes")
    assert said.code == 2
    assert f"{job.app}.absent" in said.err


def test_it_is_the_way_on_for_a_group_whose_offsets_have_gone(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.run()
    job.kafka.delete_group(job.app)
    (text,) = commands.run(job, "check", "--json").found("error", "group")
    assert "millstream reset" in text
    assert job.start(until="end").fail("LostHistoryError") == text
    assert commands.run(job, "reset", "--to", "earliest", "--yes").code == 0
    assert commands.run(job, "check").code == 0
    assert job.run()["consumed"] == 2_000


def test_it_is_the_way_on_for_a_topic_that_was_made_again(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.run()
    committed = job.committed()
    job.delete_source()
    job.kafka.create_topic(job.source.topic)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    job.kafka.commit(job.app, {(job.source.topic, p): place for p, place in committed.items()})
    (text,) = commands.run(job, "check", "--json").found("error", "group")
    assert "made again" in text
    assert commands.run(job, "reset", "--to", "earliest", "--yes").code == 0
    assert job.run()["consumed"] == 2_000
