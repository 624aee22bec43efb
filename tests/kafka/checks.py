"""What came out against what must have come out; a failure names a few differences, never thousands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .job import Job
from .oracle import Late, Verdict, Window
from .records import Log, Record

SHOWN = 5


def window_of(record: Record, job: Job) -> Window:
    """The result that a record holds; everything that it says twice must agree."""
    value = record.json
    assert record.key is not None
    try:
        key: Any = record.key.decode()
    except UnicodeDecodeError:
        key = {"hex": record.key.hex()}
    start, end = value["window"]["start"], value["window"]["end"]
    assert value["key"] == key
    assert value["n_events"] == len(value["seqs"])
    # librdkafka takes a timestamp of 0 for now, so 1 stands for it.
    assert record.timestamp == max(1, end - 1)
    assert record.header("group") == job.app
    assert record.header("model-version") == "1"
    assert record.header("id")
    return Window(end, record.key, record.header("model"), start, tuple(value["seqs"]))


def same(found: Iterable[Any], wanted: Iterable[Any], what: str) -> None:
    """Equal in content, number and order, or a short account of the difference."""
    found, wanted = list(found), list(wanted)
    if found == wanted:
        return
    missing, extra = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    if missing or extra:
        raise AssertionError(
            f"{what}: {missing.total()} missing, {extra.total()} not wanted, of {len(wanted)}\n"
            f"missing: {[*missing][:SHOWN]}\nnot wanted: {[*extra][:SHOWN]}"
        )
    at = next(i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
    raise AssertionError(f"{what}: out of order at {at}: {found[at]} stands where {wanted[at]} belongs")


def assert_exact(job: Job, verdict: Verdict) -> None:
    """Every window once, complete, in its source's partition, in the promised order; one id each."""
    assert any(any(parts.values()) for parts in verdict.windows.values()), "the test expects no window at all"
    for model in job.models:
        results = job.results(model)
        for partition, wanted in verdict.windows[model.name].items():
            records = results[partition]
            same([window_of(r, job) for r in records], wanted, f"{model.name}, partition {partition}")
        ids = [record.header("id") for record in flat(results)]
        assert len(set(ids)) == len(ids)


def assert_nothing_lost(job: Job, verdict: Verdict) -> None:
    """Every window at least once; a repeat has the id, the partition and the content of the first."""
    for model in job.models:
        results = job.results(model)
        by_id: dict[str, Record] = {}
        for record in flat(results):
            first = by_id.setdefault(record.header("id"), record)
            assert (record.partition, record.key, record.json) == (first.partition, first.key, first.json)
        for partition, wanted in verdict.windows[model.name].items():
            found = [window_of(r, job) for r in by_id.values() if r.partition == partition]
            same(sorted(found), wanted, f"{model.name}, partition {partition}")


def assert_outputs(job: Job, verdict: Verdict) -> None:
    """What the job's guarantee promises after a fault."""
    check = assert_exact if job.guarantee == "exactly_once" else assert_nothing_lost
    check(job, verdict)


def assert_late(job: Job, verdict: Verdict, written: Iterable[Record] | None = None) -> None:
    """The late topic holds each late event as it was, once per model, and says what it missed."""
    written = flat(job.kafka.read(job.source.topic)) if written is None else written
    sources = {(r.partition, r.offset): r for r in written}
    found: dict[tuple[str, int, int], Late] = {}
    for record in flat(job.kafka.read(job.late_topic)):
        model, partition, offset = origin(record, job, "model")
        source = sources[partition, offset]
        assert (record.key, record.value) == (source.key, source.value)
        first, last, count = map(int, record.header("windows-missed").split("/"))
        place = (model, partition, offset)
        late = Late(first, last, count, int(record.header("watermark")))
        assert may_repeat(job, place, late, found), f"{place} is twice in {job.late_topic}"
        found[place] = late
    same(sorted(found.items()), sorted(verdict.late.items()), job.late_topic)


def assert_dead(job: Job, verdict: Verdict, written: Iterable[Record]) -> None:
    """The dead-letter topic holds each bad record as it was, once, and says why and from where."""
    sources = {(r.partition, r.offset): r for r in written}
    found: dict[tuple[int, int], str] = {}
    for record in flat(job.kafka.read(job.dead_letter_topic)):
        reason, partition, offset = origin(record, job, "reason")
        source = sources[partition, offset]
        assert (record.key, record.value) == (source.key, source.value)
        assert record.header("detail")
        place = (partition, offset)
        assert may_repeat(job, place, reason, found), f"{place} is twice in {job.dead_letter_topic}"
        found[place] = reason
    same(sorted(found.items()), sorted(verdict.dead.items()), job.dead_letter_topic)


def may_repeat(job: Job, place: Any, content: Any, found: dict[Any, Any]) -> bool:
    """Whether a record is the first of its place, or repeats the first where the guarantee allows it."""
    return place not in found or (job.guarantee == "at_least_once" and found[place] == content)


def origin(record: Record, job: Job, header: str) -> tuple[str, int, int]:
    """A header and the place in the source that a late or dead record names."""
    assert record.header("topic") == job.source.topic
    return record.header(header), int(record.header("partition")), int(record.header("offset"))


def assert_counts(job: Job, metrics: dict[str, Any], verdict: Verdict) -> None:
    """The counters of a run over the whole log agree with the oracle, and add up.

    With several lanes a partition may go to the last one to join after the first has read of it: what was not
    committed by then is read, and counted, once more.
    """
    source, once = metrics["sources"][job.source.topic], job.settings.get("lanes", 1) == 1
    found, expected = Counter(consumed=source["consumed"]), Counter(consumed=verdict.consumed)
    found.update({f"dead {reason}": count for reason, count in source["dead_letters"].items()})
    expected.update(f"dead {reason}" for reason in verdict.dead.values())
    assert source["below_expected"] == 0
    for model in job.models:
        counts = metrics["models"][model.name]
        names = ("events", "late_events", "before_start", "late_pairs", "windows_skipped")
        found.update({f"{model.name} {name}": counts[name] for name in names})
        expected.update({f"{model.name} {name}": verdict.counts[model.name][name] for name in names})
        assert counts["windows_produced"] == verdict.counts[model.name]["windows_produced"], model.name
        parts = counts["events"] + counts["late_events"] + counts["before_start"]
        assert source["consumed"] == parts + sum(source["dead_letters"].values())
    assert found >= expected
    assert not once or +found == +expected


def flat(log: Log) -> list[Record]:
    """All records, by partition and offset."""
    return [record for partition in sorted(log) for record in log[partition]]
