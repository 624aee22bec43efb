"""Durations as users write them (`"10s"`, `"1h30m"`, a timedelta) and as the engine takes them: whole ms."""

import re
from datetime import timedelta
from fractions import Fraction
from numbers import Number, Real
from typing import TypeAlias

import numpy as np

from millstream._check import refusal

Duration: TypeAlias = str | timedelta

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SPELLING = re.compile(
    r"(?P<sign>-?)" + r"\s*".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?)\s*{unit})?" for unit in _UNITS)
)
# Far beyond any use, and small enough that no sum of a time and a duration leaves 64 bits.
_LONGEST_MS = 36_500 * _UNITS["d"]
_LONGEST_SPELLING = 100
_FIX = 'write a duration such as "10s", "250ms", "1m" or "1h30m", or a datetime.timedelta'


def duration_ms(setting: str, value: object, *, least: int | None = 1) -> int:
    """Return a duration in whole milliseconds.

    Args:
        setting: What the user typed it as, for messages.
        value: Units `d`, `h`, `m`, `s`, `ms`, largest first, or a timedelta.
        least: The smallest accepted value in ms; None accepts negative ones too.

    Raises:
        ConfigError: A bare number, another spelling, a part of a millisecond, or out of range.
    """
    exact = _exact_ms(setting, value)
    if exact.denominator != 1:
        raise refusal(
            setting, value, "has a part smaller than a millisecond", "round it to whole milliseconds"
        )
    ms = exact.numerator
    if least is not None and ms < least:
        problem = "must not be negative" if least == 0 else "must be longer than zero"
        raise refusal(setting, value, problem, _FIX)
    if abs(ms) > _LONGEST_MS:
        raise refusal(setting, value, "is longer than 100 years", _FIX)
    return ms


def canonical(setting: str, value: object, *, least: int | None = 1) -> str:
    """Return the one spelling of a duration, so that equal durations are equal strings."""
    return format_ms(duration_ms(setting, value, least=least))


def format_ms(ms: int) -> str:
    """Spell whole milliseconds: 5400000 -> `"1h30m"`."""
    if ms == 0:
        return "0ms"
    rest, parts = abs(ms), []
    for unit, length in _UNITS.items():
        whole, rest = divmod(rest, length)
        if whole:
            parts.append(f"{whole}{unit}")
    return ("-" if ms < 0 else "") + "".join(parts)


def _exact_ms(setting: str, value: object) -> Fraction:
    if isinstance(value, timedelta):
        return Fraction(value // timedelta(microseconds=1), 1_000)
    if isinstance(value, Number) and not isinstance(value, bool | np.timedelta64):
        usable = isinstance(value, Real) and not value < 0 and value <= _LONGEST_MS
        fix = f'write "{value}s" or "{value}ms"' if usable else _FIX
        raise refusal(setting, value, "is a bare number, which has no unit", fix)
    short = isinstance(value, str) and len(value) <= _LONGEST_SPELLING
    match = _SPELLING.fullmatch(str(value).strip()) if short else None
    given = {} if match is None else {u: match[u] for u in _UNITS if match[u] is not None}
    if match is None or not given:
        raise refusal(setting, value, "is not a duration", _FIX)
    total = sum((Fraction(number) * _UNITS[unit] for unit, number in given.items()), Fraction(0))
    return -total if match["sign"] else total
