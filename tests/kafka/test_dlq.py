"""`millstream dlq`: dead letters are shown; records go back to their topic, windows to their model, once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from millstream import App, Topic, TumblingWindow
from millstream.cli.dlq._letters import open_topic
from millstream.errors import FencedError

from .checks import flat
from .clients import Kafka
from .command import Commands
from .conftest import NewJob
from .job import Guarantee, Job
from .load import BASE, load
from .oracle import Model
from .records import Record, event
from .test_events import event_of, scorer, sink, wanted

MODEL = Model("m", 10_000, 10_000, grace=0)
POISON = 7
SPAN = 60_000
LINGER_MS = 15_000  # for so long records wait in the client; another takes over sooner


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Runs commands."""
    return Commands(tmp_path)


def bad_records() -> list[Record]:
    """Six that are no events, for three reasons, in two partitions."""
    values = [b"{", b"[1]", b'{"ts": 1}']
    return [Record(n % 2, b"k%d" % n, values[n % 3], BASE + n) for n in range(6)]


def origin(record: Record) -> tuple[int, bytes | None, bytes | None, int]:
    """What a replay has to keep of a record."""
    return (record.partition, record.key, record.value, record.timestamp)


def with_bad_records(new_job: NewJob, guarantee: Guarantee = "exactly_once") -> tuple[Job, list[Record]]:
    """A job that has run on good records and bad ones, and all that was in its source."""
    job = new_job(MODEL, partitions=2, guarantee=guarantee)
    written = job.kafka.produce(job.source.topic, [*load(400, span=SPAN, partitions=2), *bad_records()])
    job.run()
    return job, written


def replayed(job: Job, before: int) -> list[tuple[int, bytes | None, bytes | None, int]]:
    """What has come to the source since it had so many records."""
    records = sorted(flat(job.kafka.read(job.source.topic)), key=lambda record: record.offset)
    written = {p: sum(1 for record in records if record.partition == p) for p in range(2)}
    assert sum(written.values()) >= before
    return [origin(record) for record in records if origin(record) in {origin(bad) for bad in bad_records()}]


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_records_go_back_to_their_partitions_once(
    new_job: NewJob, commands: Commands, guarantee: Guarantee
) -> None:
    job, written = with_bad_records(new_job, guarantee)
    said = commands.run(job, "dlq replay", "--dry-run")
    assert (said.code, "6 records would go back" in said.out) == (0, True)
    assert len(replayed(job, len(written))) == 6

    said = commands.run(job, "dlq replay", "--reason", "missing_field")
    assert said.code == 0, said.err
    assert "2 records have gone back to their topics" in said.out
    assert "late" in said.out
    twice = [origin(bad) for bad in bad_records() if bad.value == b'{"ts": 1}']
    once = [origin(bad) for bad in bad_records()]
    assert sorted(replayed(job, len(written))) == sorted([*once, *twice])

    assert "nothing to replay" in commands.run(job, "dlq replay", "--reason", "missing_field").out
    assert "4 records have gone back" in commands.run(job, "dlq replay").out
    assert sorted(replayed(job, len(written))) == sorted(once * 2)
    for again in ([], ["--reason", "not_json"], ["--reason", "missing_field"]):
        assert "nothing to replay" in commands.run(job, "dlq replay", *again).out
    assert sorted(replayed(job, len(written))) == sorted(once * 2)


def test_what_is_refused_again_can_be_replayed_again(new_job: NewJob, commands: Commands) -> None:
    job, _ = with_bad_records(new_job)
    assert "6 records have gone back" in commands.run(job, "dlq replay").out
    job.run()
    assert "6 records have gone back" in commands.run(job, "dlq replay").out


def test_two_at_the_same_time_do_not_repeat_a_record(new_job: NewJob, tmp_path: Path) -> None:
    job, written = with_bad_records(new_job)
    with ThreadPoolExecutor() as pool:
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        said = list(pool.map(lambda folder: Commands(folder).run(job, "dlq replay"), folders))
    assert sorted(replayed(job, len(written))) == sorted([origin(bad) for bad in bad_records()] * 2)
    assert any(one.code == 0 for one in said), [one.err for one in said]
    assert all(one.code == 0 or "has taken over" in one.err for one in said), [one.err for one in said]


def test_who_is_taken_over_from_with_records_on_their_way_says_so(kafka: Kafka, name: str) -> None:
    kafka.create_topic(name)
    kafka.produce(name, [Record(0, b"k", b"{", BASE)])
    app, lingering = (
        App(name, brokers=kafka.bootstrap, kafka={"linger.ms": linger}) for linger in (5, LINGER_MS)
    )
    for one in (app, lingering):
        one.model(Topic(name), window=TumblingWindow("10s", grace="0s"), sink=f"{name}.m", name="m")(len)
    app.run(until="end")
    old = open_topic(lingering, "dlq-replay", write=True)
    assert old is not None
    with ThreadPoolExecutor() as pool:
        written = pool.submit(old.write, [(name, 0, b"k", b"{", BASE, [])], [(0, 1, "")])
        time.sleep(1)  # its transaction has begun by then, most of the time
        assert open_topic(app, "dlq-replay", write=True) is not None
        with pytest.raises(FencedError, match="has taken over"):
            written.result()
    assert len(flat(kafka.read(name))) == 1


def in_processes(commands: Commands) -> bool:
    """Whether models have been called in processes of a pool, and in no other."""
    of_pool = {name.startswith("millstream-predict-") for name in commands.callers()}
    assert len(of_pool) == 1
    return of_pool.pop()


def dead_and_results(job: Job) -> tuple[dict[str, Record], dict[str, list[Record]]]:
    """The windows in the dead-letter topic and the results in the sink, by id."""
    dead = {record.header("id"): record for record in flat(job.kafka.read(job.dead_letter_topic))}
    results: dict[str, list[Record]] = {}
    for record in flat(job.results(MODEL)):
        results.setdefault(record.header("id"), []).append(record)
    return dead, results


@pytest.mark.parametrize(
    ("guarantee", "pool"),
    [("exactly_once", "threads"), ("at_least_once", "threads"), ("exactly_once", "processes")],
)
def test_windows_get_the_results_that_they_would_have_had_once(
    new_job: NewJob, commands: Commands, guarantee: Guarantee, pool: str
) -> None:
    model = Model("m", 10_000, 10_000, grace=0, options={"pool": pool, "workers": 2})
    job = new_job(model, guarantee=guarantee, poison=POISON)
    job.kafka.produce(job.source.topic, load(2_000, span=SPAN))
    job.run()
    dead, before = dead_and_results(job)
    assert len(dead) > 5, "the test has no teeth"
    assert not dead.keys() & before.keys()
    said = commands.run(job, "dlq retry", "--dry-run")
    assert (said.code, f"{len(dead)} windows of model m would be retried" in said.out) == (0, True)
    said = commands.run(job, "dlq retry")
    assert said.code == 0, said.err
    assert f"{len(dead)} results written" in said.out
    assert in_processes(commands) == (pool == "processes")
    said = commands.run(job, "dlq retry")
    assert (said.code, "nothing to retry" in said.out) == (0, True)
    _, after = dead_and_results(job)
    assert after.keys() - before.keys() == dead.keys()
    for name, letter in dead.items():
        (result,) = after[name]
        told = letter.json
        assert (result.key, result.partition, result.timestamp) == (
            letter.key,
            letter.partition,
            letter.timestamp,
        )
        same = ("key", "window", "n_events")
        assert result.json == {**{part: told[part] for part in same}, "prediction": told["n_events"]}
        assert [header for header, _ in result.headers] == ["id", "group", "model", "model-version"]
        assert all(result.header(header) == letter.header(header) for header, _ in result.headers)


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_events_get_the_scores_that_they_would_have_had_once(
    new_job: NewJob, name: str, commands: Commands, pool: str
) -> None:
    job = new_job(poison=POISON, scorers=(scorer(sink=f"{name}.scores"),))
    job.kafka.produce(job.source.topic, load(2_000, span=SPAN))
    job.run()
    dead = flat(job.kafka.read(job.dead_letter_topic))
    assert len(dead) > 50, "the test has no teeth"
    assert "  event   2023-11-" in commands.run(job, "dlq show", "--reason", "model_error").out
    job.scorers = (scorer(sink=f"{name}.scores", pool=pool),)
    said = commands.run(job, "dlq retry")
    assert said.code == 0, said.err
    assert f"{len(dead)} results written" in said.out
    assert in_processes(commands) == (pool == "processes")
    assert "nothing to retry" in commands.run(job, "dlq retry").out
    scores = flat(job.kafka.read(sink(job)))
    again = {record.header("id"): record for record in scores}
    assert len(again) == len(scores)
    for letter in dead:
        score = again[letter.header("id")]
        assert event_of(score) == event_of(letter)
        assert score.partition == letter.partition
    wanted_events = sorted(event for of in wanted(job).values() for event in of)
    assert sorted(map(event_of, scores)) == wanted_events


def test_windows_that_fail_again_are_named_and_come_again(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, poison=POISON)
    job.kafka.produce(job.source.topic, load(2_000, span=SPAN))
    job.run()
    dead, _ = dead_and_results(job)
    key = next(k for k in (record.json["key"] for record in dead.values()) if isinstance(k, str))
    of_key = sum(1 for record in dead.values() if record.json["key"] == key)
    assert of_key < len(dead), "the test has no teeth"
    for results in (len(dead) - of_key, 0):
        said = commands.run_config({**job.config({}), "failing": [key]}, "dlq retry")
        assert said.code == 1
        assert f"{results} results written, {of_key} failed again" in said.out
        assert said.err.count(f"failed again: model m, {key!r}") == of_key
        assert f"ValueError: {key}" in said.err
    said = commands.run(job, "dlq retry")
    assert (said.code, f"{of_key} results written" in said.out) == (0, True)
    _, after = dead_and_results(job)
    assert all(len(after[name]) == 1 for name in dead)


def test_values_that_were_left_out_are_read_from_the_source(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, partitions=1, poison=1)
    records = [event(0, "k", BASE + n // 2, n) for n in range(16_000)]
    job.kafka.produce(job.source.topic, [*records, event(0, "other", BASE + 20_000, 20_000)])
    job.run()
    dead, _ = dead_and_results(job)
    (letter,) = dead.values()
    assert "values" not in letter.json
    said = commands.run(job, "dlq retry")
    assert said.code == 0, said.err
    _, after = dead_and_results(job)
    assert after[letter.header("id")][0].json["prediction"] == 16_000


def test_dead_letters_are_shown_by_reason_and_the_newest_in_full(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, partitions=2, poison=POISON)
    assert "there are no dead letters" in commands.run(job, "dlq show").err
    hostile = Record(0, b"\x1b[2Jkey", b'{"ts": "\x1b]0;title\x07"}', BASE + SPAN)
    job.kafka.produce(job.source.topic, [*load(400, span=SPAN, partitions=2), *bad_records(), hostile])
    job.run()
    said = commands.run(job, "dlq show", "--limit", "100")
    assert said.code == 0, said.err
    assert "missing_field   2" in said.out
    assert "\x1b" not in said.out
    for words in ("Traceback (most recent call last)", "ValueError:", "model   m version 1, id "):
        assert words in said.out
    lines = commands.run(job, "dlq show", "--json").lines
    counts = {line["reason"]: line["count"] for line in lines if line["type"] == "count"}
    assert (counts["missing_field"], counts["bad_type"]) == (2, 2)
    assert sum(line["type"] == "dead_letter" for line in lines) == 5
    said = commands.run(job, "dlq show", "--reason", "bad_type", "--json")
    assert [line["type"] for line in said.lines] == ["count", *["dead_letter"] * 2]


def test_lag_is_told_by_partition(new_job: NewJob, commands: Commands) -> None:
    job = new_job(MODEL, partitions=2)
    job.kafka.produce(job.source.topic, load(400, span=SPAN, partitions=2))
    found = commands.run(job, "lag", "--json").lines
    assert [partition["committed"] for partition in found] == [None, None]
    job.run()
    job.kafka.produce(job.source.topic, [event(0, "k", BASE, n) for n in range(30)])
    said = commands.run(job, "lag", "--json")
    ends = job.ends()
    assert [(p["committed"], p["lag"]) for p in said.lines] == [(ends[0], 30), (ends[1], 0)]
    assert all(p["replay_start"] < p["committed"] and p["clock_delay_ms"] > 0 for p in said.lines)
    assert commands.run(job, "lag", "--max", "30").code == 0
    said = commands.run(job, "lag", "--max", "29")
    assert said.code == 1
    assert f"{job.source.topic} [0] is 30 behind" in said.err
    assert "total lag 30" in said.out
