"""The oracle itself, against cases worked out by hand, and against a log that went through the broker."""

from __future__ import annotations

import pytest

from .clients import Kafka
from .judge import Event, Source, judge
from .load import load
from .oracle import Late, Model, Window, expect
from .records import Log, Record, as_log, event

SOURCE = Source("t")


def log(*times: int, partition: int = 0) -> Log:
    """A log of one key with these event times; the sequence numbers are the offsets."""
    return {
        partition: [
            Record(partition, b"k", event(0, "k", ts, offset).value, 10**12, offset)
            for offset, ts in enumerate(times)
        ]
    }


@pytest.mark.parametrize(
    ("size", "hop", "offset", "ts", "starts"),
    [
        (10, 10, 0, 9, [0]),
        (10, 10, 0, 10, [10]),
        (10, 2, 0, 9, [0, 2, 4, 6, 8]),
        (10, 3, 0, 9, [0, 3, 6, 9]),
        (10, 3, 0, 11, [3, 6, 9]),
        (10, 3, 1, 10, [1, 4, 7, 10]),
        (10, 3, -2, 10, [1, 4, 7, 10]),
        (10, 3, 0, -1, [-9, -6, -3]),
        (10, 3, 0, 0, [-9, -6, -3, 0]),
        (10, 3, 0, 1, [-6, -3, 0]),
    ],
)
def test_an_event_is_in_every_window_that_holds_its_time(
    size: int, hop: int, offset: int, ts: int, starts: list[int]
) -> None:
    assert Model("m", size, hop, 0, offset).starts(ts) == starts


def test_a_window_closes_when_the_watermark_reaches_its_end() -> None:
    model = Model("m", 10, 10, grace=2)
    assert expect(log(5, 11), SOURCE, [model]).windows == {"m": {0: []}}
    assert expect(log(5, 12), SOURCE, [model]).windows == {"m": {0: [Window(10, b"k", "m", 0, (0,))]}}


def test_an_event_enters_its_open_windows_though_late_for_others() -> None:
    # At 15 the watermark is 14: of the windows of 9, those from 0, 2 and 4 are gone, 6 and 8 are open.
    verdict = expect(log(15, 9, 99), SOURCE, [Model("m", 10, 2, grace=1)])
    assert verdict.late == {("m", 0, 1): Late(0, 4, 3, 14)}
    assert verdict.windows["m"][0] == [
        Window(16, b"k", "m", 6, (1, 0)),
        Window(18, b"k", "m", 8, (1, 0)),
        Window(20, b"k", "m", 10, (0,)),
        Window(22, b"k", "m", 12, (0,)),
        Window(24, b"k", "m", 14, (0,)),
    ]
    assert verdict.counts["m"] == {"events": 3, "late_pairs": 3, "windows_produced": 5}


def test_an_event_that_missed_all_its_windows_is_counted_once() -> None:
    verdict = expect(log(30, 5), SOURCE, [Model("m", 10, 5, grace=0)])
    assert verdict.late == {("m", 0, 1): Late(0, 5, 2, 30)}
    assert verdict.counts["m"] == {"events": 1, "late_events": 1, "late_pairs": 2}


def test_events_are_ordered_by_time_and_then_by_offset() -> None:
    verdict = expect(log(5, 3, 5, 3, 4, 10), SOURCE, [Model("m", 10, 10, grace=0)])
    assert verdict.windows["m"][0] == [Window(10, b"k", "m", 0, (1, 3, 4, 0, 2))]


def test_the_clock_is_one_per_partition_and_shared_by_its_keys() -> None:
    records = [event(0, "a", 5, 0), event(1, "a", 5, 1), event(0, "b", 10, 2)]
    placed = {
        p: [Record(p, r.key, r.value, 10**12, n) for n, r in enumerate(records) if r.partition == p]
        for p in (0, 1)
    }
    verdict = expect(placed, SOURCE, [Model("m", 10, 10, grace=0)])
    assert verdict.windows["m"] == {0: [Window(10, b"a", "m", 0, (0,))], 1: []}


def test_results_are_sorted_by_end_and_key() -> None:
    records = [
        event(0, key, ts, seq)
        for seq, (key, ts) in enumerate([("b", 1), ("a", 2), ("c", 0), ("a", 13), ("z", 99)])
    ]
    placed = {0: [Record(0, r.key, r.value, 10**12, n) for n, r in enumerate(records)]}
    found = expect(placed, SOURCE, [Model("m", 10, 10, grace=0)]).windows["m"][0]
    assert [(window.end, window.key) for window in found] == [(10, b"a"), (10, b"b"), (10, b"c"), (20, b"a")]


def test_a_drain_closes_what_is_open_and_later_events_there_are_late() -> None:
    model = Model("m", 10, 10, grace=3)
    verdict = expect(log(5, 9, 8, 12), SOURCE, [model], drains=[{0: 2}, {0: 4}])
    assert verdict.windows["m"][0] == [Window(10, b"k", "m", 0, (0, 1)), Window(20, b"k", "m", 10, (3,))]
    assert verdict.late == {("m", 0, 2): Late(0, 0, 1, 10)}
    assert expect({0: []}, SOURCE, [model], drains=[{0: 0}]).windows == {"m": {0: []}}


def test_small_windows_are_skipped_and_counted() -> None:
    verdict = expect(log(1, 2, 11, 20), SOURCE, [Model("m", 10, 10, grace=0, min_events=2)])
    assert verdict.windows["m"][0] == [Window(10, b"k", "m", 0, (0, 1))]
    assert verdict.counts["m"] == {"events": 4, "windows_produced": 1, "windows_skipped": 1}


def test_a_late_start_begins_with_the_first_window_after_its_first_event() -> None:
    verdict = expect(log(1, 14, 13, 15, 40), SOURCE, [Model("m", 10, 5, grace=5)], since={0: 1})
    # No window starts before 14: 14 and 13 count as before the start, 15 has the window from 15 only.
    assert verdict.windows["m"][0] == [Window(25, b"k", "m", 15, (3,))]
    assert verdict.counts["m"] == {"before_start": 2, "events": 2, "windows_produced": 1}
    assert verdict.consumed == 4


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not_json"),
        (None, "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"ts": 1, "seq": NaN}', "not_json"),
        (b'{"ts": 1}', "missing_field"),
        (b'{"ts": 1, "seq": null}', "missing_field"),
        (b'{"ts": 1, "seq": "1"}', "bad_type"),
        (b'{"ts": 1, "seq": 1e400}', "bad_type"),
        (b'{"ts": 1, "seq": ' + b"1" * 1_000_000 + b"}", "bad_type"),
        (b'{"ts": "1", "seq": 1}', "bad_timestamp"),
        (b'{"ts": 9223372036854775807, "seq": 1}', "bad_timestamp"),
        (b'{"ts": 253402300800000, "seq": 1}', "bad_timestamp"),
        (b'{"ts": 3601001, "seq": 1}', "future_timestamp"),
        (b'{"ts": 1, "seq": 1, "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep"),
        (b'{"ts": 1, "seq": 1, "x": "' + b"[" * 10_000 + b'\\""}', Event(1, 0, b"k", 1)),
        (b'{"ts": 1, "seq": 1, "x": "' + b"x" * (1 << 20) + b'"}', "too_large"),
        (b'{"ts": 3601000, "seq": 1}', Event(3601000, 0, b"k", 1)),
        (b'{"ts": -1.5, "seq": true}', Event(-2, 0, b"k", 1)),
        (b'{"ts": 1, "seq": 1, "seq": 2}', Event(1, 0, b"k", 2)),
    ],
)
def test_every_record_is_an_event_or_has_a_reason(value: bytes | None, reason: str | Event) -> None:
    assert judge(Record(0, b"k", value, 1000, 0), SOURCE) == reason


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ('"a"', b"a"),
        ("17", b"17"),
        ("null", "missing_key"),
        ("1.5", "bad_key"),
        ("true", "bad_key"),
        ("[]", "bad_key"),
    ],
)
def test_a_key_field_is_a_string_or_an_integer(key: str, found: bytes | str) -> None:
    value = f'{{"ts": 1, "seq": 1, "id": {key}}}'.encode()
    judged = judge(Record(0, b"k", value, 1000, 0), Source("t", key="id"))
    assert (judged.key if isinstance(judged, Event) else judged) == found


def test_a_log_comes_back_as_it_was_written(kafka: Kafka, topic: str) -> None:
    written = kafka.produce(topic, load(2_000, span=60_000))
    back = kafka.read(topic)
    assert sum(map(len, back.values())) == 2_000
    assert as_log(written) == back


def test_aborted_work_is_not_read_and_committed_work_is(kafka: Kafka, topic: str) -> None:
    kafka.transaction(topic, [event(0, "k", 1, 1)]).commit()
    kafka.transaction(topic, [event(0, "k", 2, 2)]).abort()
    kafka.produce(topic, [event(0, "k", 3, 3)])
    assert [r.json["seq"] for r in kafka.read(topic)[0]] == [1, 3]
    assert [r.json["seq"] for r in kafka.read(topic, "read_uncommitted")[0]] == [1, 2, 3]
