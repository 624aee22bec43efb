"""HoppingWindow and TumblingWindow: value objects that refuse what they cannot mean."""

from datetime import timedelta
from typing import Any

import pytest

from millstream import ConfigError, HoppingWindow, TumblingWindow


def test_arguments_after_the_size_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        HoppingWindow("10s", "2s")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        TumblingWindow("10s", "2s")  # type: ignore[call-arg]


def test_windows_of_equal_durations_are_equal() -> None:
    one = HoppingWindow("60s", hop="1s", grace="0s")
    assert one == HoppingWindow("1m", hop=timedelta(seconds=1), grace="0ms", offset="0ms", min_events=1)
    assert hash(one) == hash(HoppingWindow("1m", hop="1000ms", grace="0ms"))
    assert one != HoppingWindow("60s", hop="2s", grace="0s")


@pytest.mark.parametrize(
    "window",
    [
        HoppingWindow("10s", hop="3s", grace="5s", offset="-500ms", min_events=2),
        TumblingWindow("10s", grace="5s", offset="1s"),
    ],
)
def test_the_repr_can_be_pasted(window: HoppingWindow) -> None:
    assert eval(repr(window)) == window


def test_a_tumbling_window_hops_by_its_size() -> None:
    window = TumblingWindow("10s", grace="5s")
    assert isinstance(window, HoppingWindow)
    assert window.hop == window.size == "10s"


@pytest.mark.parametrize(
    ("make", "owner"),
    [
        (lambda: HoppingWindow("10s", hop="2s"), "HoppingWindow"),
        (lambda: TumblingWindow("10s"), "TumblingWindow"),
    ],
)
def test_grace_has_to_be_said_and_the_message_says_why(make: Any, owner: str) -> None:
    with pytest.raises(ConfigError, match=owner + r" grace=None: has no default.*out of order.*grace=\"5s\""):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 10}, r"size=10: is a bare number.*\"10s\""),
        ({"size": "0s"}, r"size='0s': must be longer than zero"),
        ({"hop": "2 seconds"}, r"hop='2 seconds': is not a duration"),
        ({"hop": "0.5ms"}, r"hop='0.5ms': has a part smaller than a millisecond"),
        ({"hop": "11s"}, r"hop='11s': is longer than size='10s'.*hop=\"10s\" or less"),
        ({"hop": "9ms", "size": "3h"}, r"hop='9ms': puts each event into 1,200,000 windows of size='3h'"),
        ({"grace": "-1s"}, r"grace='-1s': must not be negative"),
        ({"grace": 5}, r"grace=5: is a bare number"),
        ({"offset": 0}, r"offset=0: is a bare number"),
        ({"min_events": 0}, r"min_events=0: is out of range; write a whole number, 1 or more"),
        ({"min_events": 10**30}, r"min_events=1.*: is out of range"),
        ({"min_events": 1.0}, r"min_events=1.0: is a float"),
    ],
)
def test_a_wrong_argument_names_setting_value_and_fix(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"size": "10s", "hop": "2s", "grace": "5s", **options}
    with pytest.raises(ConfigError, match=r"HoppingWindow " + message):
        HoppingWindow(**given)
