"""Every window once, complete, in order: under both guarantees, on four partitions, equal to the oracle."""

from __future__ import annotations

from typing import Any

import pytest

from .checks import assert_counts, assert_exact, assert_late, same, window_of
from .conftest import NewJob
from .job import Guarantee
from .load import BASE, chunks, load
from .oracle import Model, Window
from .records import event

LATE = {"late": "topic"}


@pytest.mark.parametrize(
    ("guarantee", "settings", "options"),
    [
        pytest.param("exactly_once", {}, {}, id="exactly_once"),
        pytest.param("at_least_once", {}, {}, id="at_least_once"),
        pytest.param("exactly_once", {"lanes": 2}, {"workers": 2, "max_batch": 7}, id="two_lanes"),
    ],
)
def test_every_window_arrives_once_complete_and_in_order(
    new_job: NewJob, guarantee: Guarantee, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    overlapping = Model("overlapping", 10_000, 1_000, grace=2_000, options={**LATE, **options})
    uneven = Model(
        "uneven", 10_000, 3_000, grace=4_000, offset=500, min_events=4, options={**LATE, **options}
    )
    tumbling = Model("tumbling", 250, 250, grace=0, options=options)
    job = new_job(overlapping, uneven, tumbling, guarantee=guarantee, settings=settings)
    job.kafka.produce(job.source.topic, load(20_000, span=150_000))

    metrics = job.run()

    verdict = job.expected()
    assert verdict.counts["uneven"]["windows_skipped"] > 0
    assert verdict.counts["tumbling"]["late_events"] > 0
    assert_exact(job, verdict)
    assert_counts(job, metrics, verdict)
    # The third model drops its late events: they are counted, and are in no topic.
    verdict.late = {place: late for place, late in verdict.late.items() if place[0] != "tumbling"}
    assert_late(job, verdict)


# By hand, not by the oracle: event times, the windows as start -> offsets, the offsets of late events.
EDGES = {
    "a window holds its start and not its end": (
        Model("m", 10_000, 10_000, grace=0),
        [-1, 0, 1, 9_999, 10_000, 10_001, 19_999, 30_000],
        {-10_000: (0,), 0: (1, 2, 3), 10_000: (4, 5, 6)},
        [],
    ),
    "an event is late when the watermark has reached its window's end": (
        Model("m", 10_000, 10_000, grace=1_000),
        [5_000, 10_999, 9_999, 11_000, 9_999, 30_000],
        {0: (0, 2), 10_000: (1, 3)},
        [4],
    ),
    "without grace the event at the end closes the window": (
        Model("m", 10_000, 10_000, grace=0),
        [-1, 0, -1, 9_999, 1, 10_000, 9_999, 30_000],
        {-10_000: (0,), 0: (1, 4, 3), 10_000: (5,)},
        [2, 6],
    ),
    "a hop need not divide the size, and times may be negative": (
        Model("m", 250, 100, grace=0),
        [-1, 0, 1_000],
        {-200: (0, 1), -100: (0, 1), 0: (1,)},
        [],
    ),
    "equal events are two events": (
        Model("m", 1_000, 1_000, grace=0),
        [7, 7, 7, 1_000],
        {0: (0, 1, 2)},
        [],
    ),
}


@pytest.mark.parametrize(("model", "times", "windows", "late"), EDGES.values(), ids=EDGES)
def test_the_edges_are_where_the_words_put_them(
    new_job: NewJob, model: Model, times: list[int], windows: dict[int, tuple[int, ...]], late: list[int]
) -> None:
    job = new_job(model, partitions=1, source={"options": {"timestamp_unit": "ms"}})
    job.kafka.produce(job.source.topic, [event(0, "k", ts, seq, stamp=BASE) for seq, ts in enumerate(times)])

    metrics = job.run()

    wanted = [Window(start + model.size, b"k", "m", start, seqs) for start, seqs in windows.items()]
    same([window_of(record, job) for record in job.results(model)[0]], wanted, "results")
    assert metrics["models"]["m"]["late_events"] == len(late)
    assert [offset for _, _, offset in job.expected().late] == late


def test_a_late_start_misses_no_window_after_its_first_event(new_job: NewJob) -> None:
    model = Model("m", 10_000, 1_000, grace=2_000, options=LATE)
    job = new_job(model, settings={"start": "latest"})
    before, after = chunks(load(8_000, span=80_000), 2)
    # First events 1 ms after a start of windows, on it and before it: no such window where it is after.
    edges = [event(p, "key-00", BASE + 40_000 + shift, 9_000 + p) for p, shift in enumerate((1, 0, -1))]
    after = edges + after
    job.kafka.produce(job.source.topic, before)
    assert job.run()["consumed"] == 0
    since = job.ends()
    assert sum(since.values()) == len(before)

    job.kafka.produce(job.source.topic, after)
    metrics = job.run()

    verdict = job.expected(since=since)
    assert verdict.counts["m"]["before_start"] > 0
    assert_exact(job, verdict)
    assert_late(job, verdict)
    assert_counts(job, metrics, verdict)
