"""A model that fails on a few windows, on a real broker: siblings once, poison windows once."""

from __future__ import annotations

import pytest

from .checks import assert_exact, assert_outputs, flat, same
from .conftest import NewJob
from .job import Guarantee, Job
from .load import chunks, load
from .oracle import Model, Verdict, Window

POISON = 37  # the model raises where a window's first seq is a multiple of it


def taken_out(verdict: Verdict, model: Model) -> dict[int, list[Window]]:
    """Move the poison windows out of a verdict, by partition."""
    dead = {}
    for partition, windows in verdict.windows[model.name].items():
        dead[partition] = [window for window in windows if window.seqs[0] % POISON == 0]
        verdict.windows[model.name][partition] = [w for w in windows if w.seqs[0] % POISON]
    return dead


def dead_windows(job: Job) -> dict[int, list[Window]]:
    """The windows in the dead-letter topic, by partition, in the order in which they stand there."""
    windows: dict[int, list[Window]] = {}
    for record in flat(job.kafka.read(job.dead_letter_topic)):
        value = record.json
        assert record.header("reason") == value["reason"] == "model_error"
        assert record.header("id") == value["id"]
        assert value["error"] == f"ValueError: {value['values'][0][0]:.0f}"
        assert record.key is not None
        bounds, seqs = value["window"], tuple(int(row[0]) for row in value["values"])
        window = Window(bounds["end"], record.key, value["model"], bounds["start"], seqs)
        windows.setdefault(value["partition"], []).append(window)
        assert record.partition == value["partition"]
    return windows


def assert_contained(job: Job, model: Model) -> None:
    """Every sibling once and in order, every poison window once and in order."""
    verdict = job.expected()
    dead = taken_out(verdict, model)
    assert sum(map(len, dead.values())) > 10, "the test has no teeth"
    assert_exact(job, verdict)
    found = dead_windows(job)
    for partition, wanted in dead.items():
        same(found.get(partition, []), wanted, f"dead windows of partition {partition}")


def test_a_poison_window_is_a_dead_letter_and_its_siblings_are_produced(new_job: NewJob) -> None:
    model = Model("m", 10_000, 2_000, grace=2_000)
    job = new_job(model, poison=POISON)
    job.kafka.produce(job.source.topic, load(4_000, span=60_000))
    metrics = job.run()
    assert_contained(job, model)
    counted = metrics["models"]["m"]
    dead = sum(map(len, dead_windows(job).values()))
    assert counted["dead_letters"] == {"model_error": dead}
    assert counted["windows_closed"] == counted["windows_produced"] + dead


@pytest.mark.timeout(300)
def test_kills_neither_lose_nor_repeat_a_sibling_or_a_poison_window(new_job: NewJob) -> None:
    model = Model("m", 10_000, 2_000, grace=2_000, options={"max_batch": 32})
    static = {"group.instance.id": "one"}
    job = new_job(model, settings={"kafka": static, "epoch": "10ms"}, delay=0.001, poison=POISON)
    pieces = chunks(load(6_000, span=90_000), 60)
    for kill in range(3):
        worker = job.start()
        before = job.progress()
        for piece in pieces[kill * 20 : kill * 20 + 10]:
            job.kafka.produce(job.source.topic, piece)
        worker.until(lambda before=before: job.progress() > before, "a commit of its own")  # type: ignore[misc]
        for piece in pieces[kill * 20 + 10 : kill * 20 + 20]:
            job.kafka.produce(job.source.topic, piece)
        worker.kill()
    job.run()
    assert_contained(job, model)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_window_that_hangs_is_a_dead_letter_after_three_runs(new_job: NewJob, guarantee: Guarantee) -> None:
    # Longer than a busy machine stops a call that does return.
    model = Model("m", 10_000, 10_000, grace=0, options={"timeout": "6s"})
    static = {"group.instance.id": "one"}
    job = new_job(model, guarantee=guarantee, settings={"kafka": static}, hang=500)
    records = load(2_000, span=60_000)
    job.kafka.produce(job.source.topic, records)
    for _ in range(3):
        text = job.start(until="end").fail("ModelError")
        assert "has not returned within timeout=6000ms" in text
    job.run()
    verdict = job.expected()
    windows = verdict.windows["m"]
    hung = {p: [w for w in of if 500 in w.seqs] for p, of in windows.items()}
    for partition, of in windows.items():
        windows[partition] = [w for w in of if 500 not in w.seqs]
    assert sum(map(len, hung.values())) == 1
    dead = flat(job.kafka.read(job.dead_letter_topic))
    assert [record.header("id") for record in dead] == [record.json["id"] for record in dead]
    assert ["has ended the run 3 times" in record.json["error"] for record in dead] == [True]
    assert_outputs(job, verdict)
