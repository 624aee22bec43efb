"""Windows as a model sees them, through `app.test()` and the real engine."""

from typing import Any

import pytest

from harness import READINGS, Recorder, headers, reading, readings, recording_app
from millstream import Advance, App, ConfigError, HoppingWindow, Record, Topic, TumblingWindow


def test_each_event_is_in_every_window_that_holds_its_time() -> None:
    app, seen = recording_app(HoppingWindow("10s", hop="5s", grace="0s"))
    app.test({"readings": readings(0, 4_999, 5_000, 9_999, 10_000)})
    assert seen.contents == {
        ("a", -5_000, 5_000): [0, 4_999],
        ("a", 0, 10_000): [0, 4_999, 5_000, 9_999],
        ("a", 5_000, 15_000): [5_000, 9_999, 10_000],
        ("a", 10_000, 20_000): [10_000],
    }


def test_the_size_need_not_be_a_multiple_of_the_hop() -> None:
    app, seen = recording_app(HoppingWindow("10s", hop="3s", grace="0s"))
    app.test({"readings": readings(9_000)})
    assert list(seen.contents) == [("a", start, start + 10_000) for start in (0, 3_000, 6_000, 9_000)]


def test_the_offset_shifts_the_grid_and_may_be_negative() -> None:
    for offset in ("-500ms", "1500ms"):
        app, seen = recording_app(TumblingWindow("2s", grace="0s", offset=offset))
        app.test({"readings": readings(1_499, 1_500)})
        assert seen.contents == {("a", -500, 1_500): [1_499], ("a", 1_500, 3_500): [1_500]}


def test_negative_times_are_ordinary() -> None:
    app, seen = recording_app()
    app.test({"readings": readings(-20_000, -10_001, -10_000, -1, 0)})
    assert seen.contents == {
        ("a", -20_000, -10_000): [-20_000, -10_001],
        ("a", -10_000, 0): [-10_000, -1],
        ("a", 0, 10_000): [0],
    }


def test_events_are_ordered_by_time_and_then_by_offset() -> None:
    app, seen = recording_app(TumblingWindow("10s", grace="10s"))
    app.test({"readings": [reading(ts, v) for v, ts in enumerate([500, 300, 500, 100, 300])]})
    assert seen.contents == {("a", 0, 10_000): [3, 1, 4, 0, 2]}


def test_a_jump_of_ten_years_closes_what_was_open_and_invents_nothing() -> None:
    app, seen = recording_app(HoppingWindow("10s", hop="1s", grace="5s"))
    later = 10 * 365 * 86_400_000
    app.test({"readings": readings(0, later)})
    assert len(seen.windows) == 20
    assert all(window.values.tolist() in ([[0]], [[later]]) for window in seen.windows)


def test_keys_and_partitions_have_windows_of_their_own() -> None:
    app, seen = recording_app()
    app.test({"readings": [reading(0, 1, "a", 0), reading(0, 2, "b", 0), reading(0, 3, "a", 2)]})
    assert sorted((w.partition, w.key, w.values.tolist()) for w in seen.windows) == [
        (0, "a", [[1]]),
        (0, "b", [[2]]),
        (2, "a", [[3]]),
    ]


def test_one_partition_does_not_move_the_clock_of_another() -> None:
    source = Topic("readings", timestamp="ts", fields=["v"], idle_timeout=None)
    app, seen = recording_app(source=source)
    app.test({"readings": [reading(0, 1, "a", 0), reading(60_000, 2, "b", 1), reading(5_000, 3, "a", 0)]})
    assert seen.contents["a", 0, 10_000] == [1, 3]


def test_the_key_may_come_from_a_field_as_text_or_integer() -> None:
    app, seen = recording_app(source=Topic("readings", key="device.id", timestamp="ts", fields=["v"]))
    devices: list[Any] = ["left", 12]
    app.test({"readings": [Record({"device": {"id": device}, "ts": 0, "v": 1}) for device in devices]})
    assert sorted(str(window.key) for window in seen.windows) == ["12", "left"]


def test_the_event_time_may_come_from_the_record() -> None:
    app, seen = recording_app(source=Topic("readings", fields=["v"]))
    out = app.test({"readings": [Record({"v": 1}, key="a", timestamp=12_345), Record({"v": 2}, key="a")]})
    assert seen.contents == {("a", 10_000, 20_000): [1]}
    assert headers(out["app.dead-letter"][0])["reason"] == "bad_timestamp"


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        (None, 1_500),
        ("ms", 1_500.9),
        ("s", 1.5),
        ("us", 1_500_000),
        ("ns", 1_500_000_000),
        ("rfc3339", "1970-01-01T00:00:01.5Z"),
        ("rfc3339", "1970-01-01T02:00:01.500+02:00"),
    ],
)
def test_timestamps_are_read_in_their_unit(unit: Any, value: Any) -> None:
    source = Topic("readings", timestamp="at", timestamp_unit=unit, fields=["v"])
    app, seen = recording_app(source=source)
    app.test({"readings": [Record({"at": value, "v": 1}, key="a")]})
    assert [window.timestamps.tolist() for window in seen.windows] == [[1_500]]


def test_fields_are_the_columns_in_their_order_nested_ones_by_path() -> None:
    app, seen = recording_app(source=Topic("readings", timestamp="ts", fields=["b", "a.x", "flag"]))
    app.test({"readings": [Record({"ts": 0, "a": {"x": 1}, "b": 2.5, "flag": True}, key="k")]})
    assert seen.windows[0].names == ("b", "a.x", "flag")
    assert seen.windows[0].values.tolist() == [[2.5, 1, 1]]


def test_a_late_event_still_enters_the_windows_that_are_open() -> None:
    app, seen = recording_app(HoppingWindow("10s", hop="5s", grace="0s"))
    app.test({"readings": readings(5_000, 10_000, 7_000, 1_000)})
    assert seen.contents["a", 0, 10_000] == [5_000]
    assert seen.contents["a", 5_000, 15_000] == [5_000, 7_000, 10_000]
    model = app.metrics()["models"]["m"]
    assert (model["late_pairs"], model["late_events"], model["events"]) == (3, 1, 3)


def test_a_window_closes_exactly_when_the_clock_reaches_end_plus_grace() -> None:
    for last, late in ((12_999, 0), (13_000, 1)):
        app, seen = recording_app(TumblingWindow("10s", grace="3s"))
        app.test({"readings": readings(0, last, 9_999)}, drain=False)
        assert app.metrics()["late_pairs"] == late
        assert len(seen.windows) == late


def test_late_events_go_to_the_late_topic_with_the_run_of_windows_they_missed() -> None:
    app, _ = recording_app(HoppingWindow("10s", hop="2s", grace="1s"), late="topic")
    late = Record({"ts": 9_000, "v": 1}, key="a", headers=[("mine", b"x")])
    out = app.test({"readings": [*readings(0, 15_500), late]})
    (record,) = out["app.late"]
    assert (record.key, record.value) == (b"a", {"ts": 9_000, "v": 1})
    said = headers(record)
    assert said["windows-missed"] == "0/4000/3"
    assert said["watermark"] == "14500"
    assert (said["model"], said["topic"], said["partition"], said["offset"]) == ("m", "readings", "0", "2")


def test_without_a_late_topic_late_events_are_only_counted() -> None:
    app, _ = recording_app()
    out = app.test({"readings": readings(0, 20_000, 1)})
    assert set(out) == {"results", "app.dead-letter"}
    assert app.metrics()["late_pairs"] == 1


def test_a_quiet_partition_closes_its_windows_and_old_data_is_still_on_time() -> None:
    app, seen = recording_app(HoppingWindow("10s", hop="5s", grace="2s"))
    app.test({"readings": [*readings(6_000), Advance("10m"), *readings(13_000)]}, drain=False)
    assert seen.contents == {("a", 0, 10_000): [6_000], ("a", 5_000, 15_000): [6_000]}
    # The clock went to 17 s, which closes 5..15 s and nothing else.
    assert app.metrics()["models"]["m"]["late_pairs"] == 1
    assert app.metrics()["models"]["m"]["events"] == 2


def test_the_idle_rule_waits_for_its_timeout() -> None:
    for pause, closed in (("29s", 0), ("60s", 1)):
        app, seen = recording_app()
        app.test({"readings": [*readings(1_000), Advance(pause)]}, drain=False)
        assert len(seen.windows) == closed


def test_the_idle_rule_can_be_off() -> None:
    app, seen = recording_app(source=Topic("readings", timestamp="ts", fields=["v"], idle_timeout=None))
    app.test({"readings": [*readings(1_000), Advance("10d")]}, drain=False)
    assert seen.windows == []


def test_an_empty_partition_never_gets_a_clock_from_being_idle() -> None:
    app, seen = recording_app()
    app.test({"readings": [Advance("10d"), *readings(0, 5_000)]})
    assert seen.contents == {("a", 0, 10_000): [0, 5_000]}
    assert app.metrics()["late_pairs"] == 0


def test_drain_emits_the_open_windows_and_without_it_they_stay_open() -> None:
    for drain, count in ((True, 2), (False, 1)):
        app, seen = recording_app()
        app.test({"readings": readings(0, 10_000)}, drain=drain)
        assert len(seen.windows) == count


def test_windows_with_too_few_events_are_skipped_and_counted() -> None:
    app, seen = recording_app(TumblingWindow("10s", grace="0s", min_events=2))
    out = app.test({"readings": readings(0, 1, 10_000, 20_000, 20_001)})
    assert [window.start for window in seen.windows] == [0, 20_000]
    assert len(out["results"]) == 2
    model = app.metrics()["models"]["m"]
    assert (model["windows_closed"], model["windows_skipped"], model["windows_produced"]) == (3, 1, 2)


def test_several_models_on_a_topic_see_their_own_windows_and_fields() -> None:
    app, fast, slow = App("app"), Recorder(), Recorder()
    source = Topic("readings", timestamp="ts", fields=["w", "v"])
    app.model(source=READINGS, window=TumblingWindow("1s", grace="0s"), sink="fast", name="fast")(fast)
    app.model(source=source, window=TumblingWindow("10s", grace="9s"), sink="slow", name="slow")(slow)
    out = app.test({"readings": [Record({"ts": ts, "v": ts, "w": 7}, key="a") for ts in (0, 5_000, 10_000)]})
    assert [(w.start, w.names, w.values.tolist()) for w in fast.windows] == [
        (ts, ("v",), [[ts]]) for ts in (0, 5_000, 10_000)
    ]
    assert slow.windows[0].names == ("w", "v")
    assert slow.windows[0].values.tolist() == [[7, 0], [7, 5_000]]
    assert (len(out["fast"]), len(out["slow"])) == (3, 2)


def test_counts_add_up_for_every_model() -> None:
    app, _ = recording_app(TumblingWindow("10s", grace="0s"))
    app.test({"readings": [*readings(0, 20_000, 3, 21_000), Record("{", key="a"), Record({}, key="a")]})
    metrics = app.metrics()
    source, model = metrics["sources"]["readings"], metrics["models"]["m"]
    assert source["consumed"] == metrics["consumed"] == 6
    dead = sum(source["dead_letters"].values())
    assert dead == metrics["dead_letters"] == 2
    assert source["consumed"] == model["events"] + model["late_events"] + model["before_start"] + dead


def test_a_test_repeated_gives_the_same_bytes() -> None:
    app, _ = recording_app(HoppingWindow("10s", hop="1s", grace="2s"), late="topic")
    fed = {"readings": [reading(ts * 37 % 60_000, ts, "abc"[ts % 3], ts % 2) for ts in range(500)]}
    assert app.test(fed) == app.test(fed)


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ([], r"topics=\[\]: is not a dict"),
        ({"reading": []}, r"topic='reading': is read by no model.*\['readings'\]"),
        ({"readings": Record({})}, r"'readings'=Record.*is not a list"),
        ({"readings": [{"v": 1}]}, r"'readings'\[0\]=\{'v': 1\}: is neither a Record nor an Advance"),
    ],
)
def test_what_cannot_be_fed_is_refused(topics: Any, message: str) -> None:
    app, _ = recording_app()
    with pytest.raises(ConfigError, match=r"App\.test\(\) (topic )?" + message):
        app.test(topics)
