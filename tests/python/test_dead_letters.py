"""Records that cannot be used: each goes to the dead-letter topic with its reason, and nothing else stops."""

from typing import Any

import pytest

from harness import TUMBLING, Recorder, headers, reading, recording_app
from millstream import App, Record, Topic

DEEP: Any = 0
for _ in range(100):
    DEEP = [DEEP]

UNUSABLE = [
    ("not_json", Record("{", key="a")),
    ("not_json", Record(b"\xff\xfe", key="a")),
    ("not_json", Record("", key="a")),
    ("not_json", Record(None, key="a")),
    ("not_json", Record("[" * 10_000 + "}", key="a")),
    ("missing_field", Record({"ts": 0}, key="a")),
    ("bad_type", Record({"ts": 0, "v": "1.5"}, key="a")),
    ("bad_type", Record({"ts": 0, "v": [1]}, key="a")),
    ("bad_type", Record('{"ts": 0, "v": 1e400}', key="a")),
    ("missing_key", Record({"ts": 0, "v": 1})),
    ("bad_timestamp", Record({"ts": 253_402_300_800_000, "v": 1}, key="a")),
    ("bad_timestamp", Record({"ts": -(2**63), "v": 1}, key="a")),
    ("bad_timestamp", Record({"ts": 10**40, "v": 1}, key="a")),
    ("future_timestamp", Record({"ts": 3_600_001, "v": 1}, key="a", timestamp=0)),
    ("too_large", Record({"ts": 0, "v": 1, "filler": "x" * (1 << 20)}, key="a")),
    ("too_deep", Record({"ts": 0, "v": 1, "filler": DEEP}, key="a")),
]


@pytest.mark.parametrize(
    ("reason", "record"), UNUSABLE, ids=[f"{r}-{i}" for i, (r, _) in enumerate(UNUSABLE)]
)
def test_an_unusable_record_is_kept_with_its_reason_and_origin(reason: str, record: Record) -> None:
    app, seen = recording_app()
    out = app.test({"readings": [reading(1, 1.0), record, reading(2, 2.0)]})
    (dead,) = out["app.dead-letter"]
    assert dead.key == record.key
    said = headers(dead)
    if reason == "not_json":
        # Too deep and no JSON at once may be called either.
        assert said["reason"] in ("not_json", "too_deep")
    else:
        assert said["reason"] == reason
    assert said["detail"]
    assert (said["topic"], said["partition"], said["offset"]) == ("readings", "0", "1")
    assert seen.contents == {("a", 0, 10_000): [1, 2]}
    assert app.metrics()["sources"]["readings"]["dead_letters"] == {said["reason"]: 1}


@pytest.mark.parametrize("value", ["{", b"\xff\x00", {"ts": 0}])
def test_a_dead_letter_keeps_the_value_to_the_byte(value: Any) -> None:
    app, _ = recording_app()
    (dead,) = app.test({"readings": [Record(value, key="a")]})["app.dead-letter"]
    assert dead.value == (value.encode() if isinstance(value, str) else value)


@pytest.mark.parametrize("key", [1.5, True, [1], {"id": 1}])
def test_a_key_that_is_no_text_or_integer_is_bad(key: Any) -> None:
    app, _ = recording_app(source=Topic("readings", key="id", timestamp="ts", fields=["v"]))
    (dead,) = app.test({"readings": [Record({"id": key, "ts": 0, "v": 1})]})["app.dead-letter"]
    assert headers(dead)["reason"] == "bad_key"


def test_the_dead_letter_topic_can_be_named() -> None:
    app = App("app", dead_letter_topic="rejects")
    source = Topic("readings", fields=["v"])
    app.model(source=source, window=TUMBLING, sink="results", name="m")(len)
    assert len(app.test({"readings": [Record("{", key="a", timestamp=0)]})["rejects"]) == 1


def test_a_record_that_one_model_cannot_use_is_dead_for_all_and_once() -> None:
    app, seen = recording_app()
    wide = Topic("readings", timestamp="ts", fields=["v", "w"])
    app.model(source=wide, window=TUMBLING, sink="others", name="wide")(Recorder())
    out = app.test({"readings": [reading(0), Record({"ts": 1, "v": 1, "w": 1}, key="a")]})
    assert [headers(dead)["reason"] for dead in out["app.dead-letter"]] == ["missing_field"]
    assert seen.contents == {("a", 0, 10_000): [1]}


def test_a_bad_time_never_moves_the_clock() -> None:
    app, _ = recording_app()
    bad = [
        Record({"ts": 10**14, "v": "x"}, key="a"),
        Record({"ts": 10**12, "v": 1}, key="a", timestamp=0),
        Record({"ts": 10**12, "v": 1}),
    ]
    app.test({"readings": [reading(0), *bad, reading(1)]})
    assert app.metrics()["dead_letters"] == 3
    assert app.metrics()["late_pairs"] == 0


def test_the_future_guard_is_an_hour_and_can_be_moved_or_off() -> None:
    ahead = Record({"ts": 3_600_000, "v": 1}, key="a", timestamp=0)
    for max_future, dead in (("1h", 0), ("59m", 1), (None, 0)):
        app, _ = recording_app(source=Topic("readings", timestamp="ts", fields=["v"], max_future=max_future))
        assert len(app.test({"readings": [ahead]})["app.dead-letter"]) == dead


@pytest.mark.parametrize(
    "value", ['{"ts": 0}', '{"ts": 0, "v": null}', '{"ts": 0, "v": NaN}', '{"ts": 0, "v": -Infinity}']
)
def test_missing_nan_takes_what_is_absent_as_nan(value: str) -> None:
    app, seen = recording_app(source=Topic("readings", timestamp="ts", fields=["v"], missing="nan"))
    app.test({"readings": [Record(value, key="a")]})
    (window,) = seen.windows
    assert window.values.shape == (1, 1)
    assert window.values[0, 0] != window.values[0, 0]


@pytest.mark.parametrize("value", ['{"ts": 0, "v": "x"}', '{"v": 1}', '{"ts": NaN, "v": 1}'])
def test_missing_nan_excuses_no_wrong_type_and_no_timestamp(value: str) -> None:
    app, _ = recording_app(source=Topic("readings", timestamp="ts", fields=["v"], missing="nan"))
    assert len(app.test({"readings": [Record(value, key="a")]})["app.dead-letter"]) == 1


def test_what_merely_looks_odd_is_accepted() -> None:
    app, seen = recording_app()
    odd = [
        Record('{"v": 5, "ts": 0, "v": 1}', key="a"),
        Record({"ts": 1, "v": False}, key="a"),
        Record('{"ts": 2e0, "v": -0.0}', key="a"),
        Record({"ts": 3, "v": 2, "other": "x" * 1_000}, key="a", timestamp=10**12),
        Record({"ts": 4, "v": 2**70}, key="a"),
    ]
    out = app.test({"readings": odd})
    assert out["app.dead-letter"] == []
    assert seen.contents == {("a", 0, 10_000): [1, 0, 0, 2, 2.0**70]}
