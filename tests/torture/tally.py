"""What came out of a seed against what must have come out, counted; each check has a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from kafka.checks import assert_dead, assert_late, flat, window_of
from kafka.job import Job
from kafka.oracle import Model, Verdict, Window
from kafka.records import Log, Record

SHOWN = 3


@dataclass(frozen=True)
class Takeover:
    """The lives of a worker that began before a moment were taken over while it was stopped."""

    worker: str
    moment: float  # on the clock of the machine
    ends: dict[str, dict[int, int]]  # sink -> partition -> the end of the log then


@dataclass
class Tally:
    """The figures of a run and what failed."""

    windows: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    repeats: int = 0  # at least once: allowed
    hidden: int = 0  # records of aborted transactions in the sinks
    late: int = 0
    dead: int = 0
    failures: dict[str, str] = field(default_factory=dict)  # check -> the first difference

    def fail(self, check: str, text: str) -> None:
        """Note a failure; the first of a check stays."""
        self.failures.setdefault(check, text)

    def run(self, check: str, assertion: Callable[[], None]) -> None:
        """Note the failure of an assertion."""
        try:
            assertion()
        except AssertionError as error:
            self.fail(check, str(error)[:2000])


def check_outputs(
    tally: Tally, job: Job, verdict: Verdict, written: list[Record], marks: list[Takeover]
) -> None:
    """Everything that topics tell."""
    for model in job.models:
        results = job.results(model)
        check_windows(tally, job, model, results, verdict.windows[model.name])
        if job.guarantee == "exactly_once":
            check_takeovers(tally, job.sink(model), results, marks)
        everything = job.kafka.read(job.sink(model), "read_uncommitted")
        tally.hidden += len(flat(everything)) - len(flat(results))
    tally.late, tally.dead = len(verdict.late), len(verdict.dead)
    tally.run("late pairs", lambda: assert_late(job, verdict, written))
    tally.run("dead letters", lambda: assert_dead(job, verdict, written))


def check_windows(
    tally: Tally, job: Job, model: Model, results: Log, wanted: dict[int, list[Window]]
) -> None:
    """Every window once (or with the same content again, at least once), complete, and in order."""
    once = job.guarantee == "exactly_once"
    ids: Counter[str] = Counter()
    for partition, windows in wanted.items():
        found: list[Window] = []
        for record in results[partition]:
            try:
                found.append(window_of(record, job))
            except (AssertionError, KeyError, ValueError) as error:
                tally.fail("well-formed", f"{record}: {error!r}")
            ids[record.header("id")] += 1
        first = compare(tally, f"{model.name}, partition {partition}", found, windows, once=once)
        tally.windows += len(windows)
        if once and first != sorted(first):
            at = next(i for i, pair in enumerate(pairwise(first)) if pair[0] > pair[1])
            tally.fail("order", f"{model.name}, partition {partition}: {first[at]} before {first[at + 1]}")
    identities = sum(len(windows) for windows in wanted.values())
    if len(ids) != identities and not tally.failures:
        tally.fail("ids", f"{model.name}: {len(ids)} ids for {identities} windows")


def compare(
    tally: Tally, where: str, found: Iterable[Window], wanted: Iterable[Window], *, once: bool
) -> list[Window]:
    """Count what is lost, doubled and wrong; returns the first result of each window."""
    contents = {window[:4]: window for window in wanted}
    first: dict[tuple[int, bytes, str, int], Window] = {}
    for window in found:
        place = window[:4]
        if place not in contents or contents[place] != window:
            tally.wrong += 1
            tally.fail("content", f"{where}: {window} where the log says {contents.get(place)}")
        if place not in first:
            first[place] = window
        elif once:
            tally.duplicated += 1
            tally.fail("exactly once", f"{where}: {window} is there twice")
        else:
            tally.repeats += 1
    lost = contents.keys() - first.keys()
    tally.lost += len(lost)
    if lost:
        shown = sorted(lost)[:SHOWN]
        tally.fail("nothing lost", f"{where}: {len(lost)} windows of {len(contents)} are missing: {shown}")
    return list(first.values())


def check_takeovers(tally: Tally, topic: str, results: Log, marks: list[Takeover]) -> None:
    """Once another member has put results behind a stopped one's, none of the old life follows."""
    for partition, records in results.items():
        for mark in marks:
            other = False
            for record in records:
                if record.offset < mark.ends[topic][partition]:
                    continue
                value = record.json
                old = value["worker"] == mark.worker and value["life"] < mark.moment
                if old and other:
                    what = f"{topic}, partition {partition}, offset {record.offset}"
                    tally.fail("takeover", f"{what}: a result of {mark.worker} stands behind its successor's")
                other = other or not old
