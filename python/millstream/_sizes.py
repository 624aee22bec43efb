"""Amounts of memory as users write them (`"256MiB"`, or a number of bytes)."""

import re

from millstream._check import refusal

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SPELLING = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB)")
_LARGEST = 1 << 50
_LONGEST_SPELLING = 100
_FIX = 'write a size such as "256MiB" or "1GiB", or a whole number of bytes'


def size_bytes(setting: str, value: object) -> int:
    """Return an amount of memory in bytes.

    Args:
        setting: What the user typed it as, for messages.
        value: A string with a unit (`B`, `KiB`, `MiB`, `GiB`), or an int: a setting of this kind says bytes
            in its name.

    Raises:
        ConfigError: Another spelling, zero, or beyond reason.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        short = isinstance(value, str) and len(value) <= _LONGEST_SPELLING
        match = _SPELLING.fullmatch(str(value).strip()) if short else None
        if match is None:
            raise refusal(setting, value, "is not a size", _FIX)
        size = int(match[1]) * _UNITS[match[2]]
    if not 0 < size <= _LARGEST:
        raise refusal(setting, value, "is out of range", _FIX)
    return size
