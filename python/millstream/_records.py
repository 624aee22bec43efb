"""Record and Advance: what goes into `App.test()`; Records are also what comes out of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from millstream import _check
from millstream._durations import Duration, canonical

_LAST_PARTITION = 9_999
_I64_MAX = (1 << 63) - 1


@dataclass(frozen=True)
class Record:
    """One record of a topic.

    Args:
        value: A dict is encoded as JSON; bytes and str go in as they are; None is a record without a value.
            In results: the decoded JSON, or bytes where the value is none.
        key: bytes, or a str that is kept as UTF-8. None is a record without a key.
        timestamp: The record's timestamp in ms. None: it has none, so no event time can be taken from it and
            the future guard does not apply.
        partition: Where it is. A topic of a test has one partition more than the highest one named.
        headers: Pairs of a name and bytes, kept as a list.

    Raises:
        ConfigError: An argument is of a wrong type or value.
    """

    value: Any
    _: KW_ONLY
    key: bytes | str | None = None
    timestamp: int | None = None
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()

    def __post_init__(self) -> None:
        if isinstance(self.key, str) and _check.is_unicode(self.key):
            object.__setattr__(self, "key", self.key.encode())
        elif self.key is not None and not isinstance(self.key, bytes):
            raise _check.refusal("Record key", self.key, "is not a key", 'write b"device-1" or "device-1"')
        if self.timestamp is not None:
            _check.count("Record timestamp", self.timestamp, least=0, most=_I64_MAX)
        _check.count("Record partition", self.partition, least=0, most=_LAST_PARTITION)
        object.__setattr__(self, "headers", _headers(self.headers))


@dataclass(frozen=True)
class Advance:
    """Lets the virtual wall clock of a test move on, as in a pause without records: `Advance("1m")`.

    Args:
        by: How far; a duration longer than zero.

    Raises:
        ConfigError: `by` is no such duration.
    """

    by: Duration

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", canonical("Advance by", self.by))


def encode_value(value: object) -> bytes | None:
    """Return the bytes of a Record's value; numpy scalars inside a dict count as numbers.

    Raises:
        ConfigError: It is nothing that a record can hold.
    """
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str) and _check.is_unicode(value):
        return value.encode()
    fix = "write a dict of JSON values, bytes, a str or None"
    if not isinstance(value, dict):
        raise _check.refusal("Record value", value, "is not a value", fix)
    try:
        return json.dumps(value, default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise _check.refusal("Record value", value, f"is not JSON ({error})", fix) from None


def decode_value(value: bytes | None) -> Any:
    """Return the decoded JSON of an output record's value, or the bytes where they are none."""
    if value is None:
        return None
    try:
        return json.loads(value.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return value


def _headers(value: object) -> list[tuple[str, bytes]]:
    fix = 'write pairs of a name and bytes: headers=[("trace", b"1")]'
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise _check.refusal("Record headers", value, "is not a list of pairs", fix)
    pairs = list(value)
    for pair in pairs:
        if not (isinstance(pair, tuple) and [type(part) for part in pair] == [str, bytes]):
            raise _check.refusal("Record headers", value, f"holds {_check.shown(pair)}", fix)
    return pairs


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _no_constant(token: str) -> object:
    raise ValueError(f"{token} is not JSON")
