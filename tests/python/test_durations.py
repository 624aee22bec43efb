"""Durations: what is accepted, what it means, and how everything else is refused."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import ConfigError
from millstream._durations import canonical, duration_ms, format_ms
from millstream._sizes import size_bytes


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("10s", 10_000),
        ("250ms", 250),
        ("1m", 60_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        (" 1m 250ms ", 60_250),
        ("90 s", 90_000),
        ("0.25s", 250),
        ("1.5h", 5_400_000),
        (timedelta(seconds=10), 10_000),
        (timedelta(milliseconds=1), 1),
    ],
)
def test_a_duration_is_whole_milliseconds(value: Any, ms: int) -> None:
    assert duration_ms("App epoch", value) == ms


@pytest.mark.parametrize("value", [10, 0.5, np.int64(10), np.float64(2)])
def test_a_bare_number_is_refused_with_both_ways_to_say_it(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"App epoch=.*no unit.*\ds\".*\dms\""):
        duration_ms("App epoch", value)


@pytest.mark.parametrize(
    "value",
    ["", "s", "10", "10 seconds", "30m1h", "1m1m", "1µs", "10S", "1e3s", "- 1 - 2s", None, True, b"10s"],
)
def test_another_spelling_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"App epoch=.*not a duration.*\"10s\""):
        duration_ms("App epoch", value)


@pytest.mark.parametrize(
    "value", [-5, float("nan"), float("inf"), 1j, 10**30, pytest.param(10**5_000, id="5001 digits")]
)
def test_a_number_that_no_unit_would_mend_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"App epoch=.*no unit.*\"10s\", \"250ms\""):
        duration_ms("App epoch", value)


@pytest.mark.parametrize(
    "value",
    [pytest.param("9" * 5_000 + "s", id="5000 digits"), "9" * 400, np.timedelta64(10, "s")],
)
def test_what_is_no_duration_of_ours_is_refused_however_long(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"App epoch=.*not a duration"):
        duration_ms("App epoch", value)


def test_a_size_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_inflight_bytes=.*not a size"):
        size_bytes("App max_inflight_bytes", "9" * 5_000 + "GiB")


@pytest.mark.parametrize("value", ["0.5ms", "0.0001s", timedelta(microseconds=1500)])
def test_a_part_of_a_millisecond_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"smaller than a millisecond.*round"):
        duration_ms("App epoch", value)


def test_zero_and_negative_durations_are_taken_only_where_they_mean_something() -> None:
    assert duration_ms("offset", "-500ms", least=None) == -500
    assert duration_ms("offset", timedelta(hours=-1), least=None) == -3_600_000
    assert duration_ms("grace", "0ms", least=0) == 0
    with pytest.raises(ConfigError, match="must not be negative"):
        duration_ms("grace", "-1ms", least=0)
    with pytest.raises(ConfigError, match="longer than zero"):
        duration_ms("size", "0s")


@pytest.mark.parametrize("value", ["36501d", "-36501d", "9" * 30 + "s", timedelta(days=40_000)])
def test_a_duration_beyond_reason_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="100 years"):
        duration_ms("offset", value, least=None)


@given(st.integers(-(10**12), 10**12))
def test_the_canonical_spelling_means_the_same(ms: int) -> None:
    assert duration_ms("offset", format_ms(ms), least=None) == ms


def test_equal_durations_have_one_spelling() -> None:
    assert {canonical("size", value) for value in ("90s", "1m30s", timedelta(minutes=1.5))} == {"1m30s"}


@pytest.mark.parametrize(
    ("value", "size"), [("256MiB", 256 << 20), ("1 GiB", 1 << 30), ("64KiB", 65_536), ("7B", 7), (1024, 1024)]
)
def test_a_size_is_bytes(value: Any, size: int) -> None:
    assert size_bytes("App max_inflight_bytes", value) == size


@pytest.mark.parametrize("value", ["256", "256MB", "-1MiB", "", 0, -1, 1.5, True, None, 1 << 60])
def test_another_size_is_refused_with_an_example(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"App max_inflight_bytes=.*\"256MiB\""):
        size_bytes("App max_inflight_bytes", value)
