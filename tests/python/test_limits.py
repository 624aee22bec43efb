"""Limits of state: settings, the error and the warning that a user sees, and the metrics beside them."""

import logging
from typing import Any

import pytest

from harness import READINGS, TUMBLING, Recorder, reading, readings
from millstream import App, ConfigError, HoppingWindow, MillstreamError, Record, StateLimitError

LIMITS = ("max_state_bytes", "max_keys", "max_events_per_key")


def limited_app(window: HoppingWindow = TUMBLING, **limits: Any) -> App:
    app = App("app", **limits)
    app.model(source=READINGS, window=window, sink="results", name="m")(Recorder())
    return app


def said(app: App) -> list[Any]:
    return [getattr(app._settings, name) for name in LIMITS]


def test_there_is_no_limit_unless_one_is_set() -> None:
    assert said(App("app")) == [None, None, None]


def test_sizes_are_written_as_sizes_and_counts_as_numbers() -> None:
    assert said(App("app", max_state_bytes="256MiB", max_keys=10, max_events_per_key=1)) == [256 << 20, 10, 1]
    assert said(App("app", max_state_bytes=1_000))[0] == 1_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_state_bytes": "1GB"}, r"max_state_bytes='1GB': is not a size.*\"1GiB\""),
        ({"max_state_bytes": 0}, r"max_state_bytes=0: is out of range"),
        ({"max_keys": 0}, r"max_keys=0: is out of range; write a whole number, 1 or more"),
        ({"max_keys": "10"}, r"max_keys='10': is a str, not a whole number"),
        ({"max_keys": True}, r"max_keys=True: is a bool"),
        ({"max_events_per_key": 1.5}, r"max_events_per_key=1.5: is a float"),
    ],
)
def test_a_wrong_limit_names_setting_value_and_fix(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"^App\('app'\) " + message):
        App("app", **options)


def test_the_environment_goes_before_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(LIMITS, ("1GiB", "20", "30"), strict=True):
        monkeypatch.setenv(f"MILLSTREAM_{name.upper()}", value)
    assert said(App("app", max_state_bytes="1MiB", max_keys=1)) == [1 << 30, 20, 30]
    monkeypatch.setenv("MILLSTREAM_MAX_STATE_BYTES", "4096")
    monkeypatch.setenv("MILLSTREAM_MAX_KEYS", "")
    assert said(App("app", max_keys=7)) == [4096, 7, 30]
    monkeypatch.setenv("MILLSTREAM_MAX_KEYS", "many")
    with pytest.raises(ConfigError, match=r"^MILLSTREAM_MAX_KEYS='many': is a str, not a whole number"):
        App("app")


def test_one_key_too_many_ends_the_run_with_the_limit_the_partition_and_the_fix() -> None:
    app = limited_app(max_keys=2)
    fed = [reading(0, key=key, partition=partition) for key, partition in (("a", 0), ("b", 1), ("c", 1))]
    message = r"max_keys=2 is exceeded: 3 keys .* 2 of them in readings \[1\]\. Raise it"
    with pytest.raises(StateLimitError, match=message) as caught:
        app.test({"readings": fed})
    assert isinstance(caught.value, MillstreamError)
    assert app.metrics()["state_keys"] == 3


def test_keys_of_closed_windows_do_not_count() -> None:
    app = limited_app(max_keys=2)
    fed = [reading(20_000 * i, key=key) for i, key in enumerate("abcdef")]
    assert len(app.test({"readings": fed})["results"]) == 6


def test_one_event_too_many_of_a_key_ends_the_run_with_the_key() -> None:
    app = limited_app(max_events_per_key=3)
    assert len(app.test({"readings": readings(1, 2, 3, 10_001, 10_002, 10_003)})["results"]) == 2
    message = r"max_events_per_key=3 is exceeded: 4 events .* key \"a\" in readings \[0\]\. Raise it"
    with pytest.raises(StateLimitError, match=message):
        app.test({"readings": readings(1, 2, 3, 4)})


def test_too_much_state_ends_the_run_with_the_partition_and_its_largest_key() -> None:
    app = limited_app(max_state_bytes="16KiB")
    fed = readings(*range(20)) + readings(*range(2_000), key="hot")
    message = (
        r"max_state_bytes=16KiB is exceeded: .*KiB of it in readings \[0\]: 2 keys.* of key \"hot\"\. Raise"
    )
    with pytest.raises(StateLimitError, match=message):
        app.test({"readings": fed})
    assert app.metrics()["state_bytes"] > 16 << 10


def test_a_limit_is_warned_of_from_80_percent_on(caplog: pytest.LogCaptureFixture) -> None:
    app = limited_app(max_keys=5)
    with caplog.at_level(logging.WARNING, logger="millstream"):
        app.test({"readings": [reading(0, key=key) for key in "abc"]})
        assert (caplog.messages, app.metrics()["limit_warnings"]) == ([], 0)
        app.test({"readings": [reading(0, key=key) for key in "abcde"]})
    assert app.metrics()["limit_warnings"] == 1
    (record,) = caplog.records
    assert record.name == "millstream.limits"
    assert "4 keys have events in open windows, 80 % of max_keys=5" in record.message


def test_metrics_tell_what_state_holds() -> None:
    app = limited_app()
    app.test({"readings": [*readings(1, 2), *readings(3, key="b", partition=1)]}, drain=False)
    metrics = app.metrics()
    partitions = metrics["sources"]["readings"]["partitions"]
    assert (metrics["state_keys"], partitions[0]["keys"], partitions[1]["keys"]) == (2, 1, 1)
    assert metrics["state_bytes"] == sum(partition["state_bytes"] for partition in partitions.values()) > 0
    assert metrics["limit_warnings"] == 0


def test_results_within_the_limits_are_those_without_any() -> None:
    fed: list[Record] = readings(*range(0, 60_000, 7)) + readings(*range(0, 60_000, 90), key="b")
    window = HoppingWindow("10s", hop="3s", grace="60s")
    free = limited_app(window).test({"readings": fed})
    tight = limited_app(window, max_state_bytes="1MiB", max_keys=2, max_events_per_key=20_000)
    assert tight.test({"readings": fed}) == free
