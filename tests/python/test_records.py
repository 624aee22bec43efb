"""Record and Advance: what a test feeds, and what it reads."""

import json
from typing import Any

import numpy as np
import pytest

from millstream import Advance, ConfigError, Record
from millstream._records import decode_value, encode_value


def test_a_record_keeps_key_and_headers_as_kafka_does() -> None:
    record = Record({"v": 1}, key="ä", headers=[("trace", b"1")])
    assert record.key == "ä".encode()
    assert record.headers == [("trace", b"1")]
    assert Record(None).headers == []


def test_records_of_equal_parts_are_equal_and_their_repr_can_be_pasted() -> None:
    record = Record({"v": 1}, key="a", timestamp=5, partition=2, headers=(("h", b""),))
    assert record == Record({"v": 1}, key=b"a", timestamp=5, partition=2, headers=[("h", b"")])
    assert eval(repr(record)) == record
    assert eval(repr(Advance("90s"))) == Advance("1m30s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": 3}, r"key=3"),
        ({"key": "\ud800"}, r"key='.ud800': is not a key"),
        ({"timestamp": 1.5}, r"timestamp=1.5: is a float"),
        ({"timestamp": -1}, r"timestamp=-1: is out of range"),
        ({"timestamp": 1 << 63}, r"timestamp=.*out of range"),
        ({"partition": -1}, r"partition=-1: is out of range"),
        ({"partition": True}, r"partition=True"),
        ({"headers": {"a": b"1"}}, r"headers=.*holds 'a'.*pairs"),
        ({"headers": [("a", "1")]}, r"headers=.*pairs of a name and bytes"),
        ({"headers": "a"}, r"headers='a': is not a list of pairs"),
    ],
)
def test_a_wrong_argument_names_setting_value_and_fix(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="Record " + message):
        Record({}, **options)


@pytest.mark.parametrize("by", [60, "0s", "-1m", None])
def test_a_clock_advances_by_a_duration_and_never_back(by: Any) -> None:
    with pytest.raises(ConfigError, match="Advance by="):
        Advance(by)


def test_a_dict_is_encoded_as_json_with_numpy_scalars_as_numbers() -> None:
    encoded = encode_value({"i": np.int64(3), "f": np.float32(0.5), "b": np.bool_(True), "n": None})
    assert encoded is not None
    assert json.loads(encoded) == {"i": 3, "f": 0.5, "b": True, "n": None}


def test_bytes_text_and_none_are_kept() -> None:
    assert encode_value(b"\xff") == b"\xff"
    assert encode_value("{") == b"{"
    assert encode_value(None) is None


@pytest.mark.parametrize("value", [3, [1], {"v": object()}, {("a",): 1}, "\ud800"])
def test_a_value_that_no_record_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"Record value=.*write a dict"):
        encode_value(value)


@pytest.mark.parametrize(
    "value", [b"{", b"\xff", b"", b"NaN", b"[" * 100_000, b"1" * 5_000, b'\x00"\x00a\x00"']
)
def test_an_output_value_that_is_no_json_stays_bytes(value: bytes) -> None:
    assert decode_value(value) == value


def test_an_output_value_that_is_json_is_decoded() -> None:
    assert decode_value(b'{"v": [1, null]}') == {"v": [1, None]}
    assert decode_value(None) is None
