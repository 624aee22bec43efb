"""Length buckets as users write them: which windows of a model may share a batch, by numbers of events."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from millstream._check import count, refusal

LengthBuckets = tuple[int, ...] | Literal["exact"] | None

_MOST_BOUNDS = 256
_FIX = 'write upper bounds such as length_buckets=(64, 128, 256), "exact" for a bucket per length, or None'


def length_buckets(setting: str, value: object) -> LengthBuckets:
    """Return what `length_buckets` was given as, checked.

    Args:
        setting: What the user typed it as, for messages.
        value: None, `"exact"`, or a sequence of rising numbers of events.

    Raises:
        ConfigError: It is something else.
    """
    if value is None:
        return None
    if isinstance(value, str) and value == "exact":
        return "exact"
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise refusal(setting, value, 'is neither a sequence of numbers of events nor "exact"', _FIX)
    bounds = tuple(count(f"{setting}[{i}]", bound) for i, bound in enumerate(value))
    if not bounds:
        raise refusal(setting, value, "has no bound", _FIX)
    if len(bounds) > _MOST_BOUNDS:
        raise refusal(setting, value, f"has {len(bounds)} bounds, {_MOST_BOUNDS} is the most", _FIX)
    for smaller, larger in pairwise(bounds):
        if larger <= smaller:
            problem = f"has {larger} after {smaller}: bounds must rise"
            raise refusal(setting, value, problem, "sort them, and write each once")
    return bounds
