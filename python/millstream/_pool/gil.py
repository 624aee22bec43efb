"""A short probe: whether two threads in a model get on any faster than one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from millstream._pool import blas

_Call = Callable[[Any], Any]

# A call that takes longer is not worth the wait, and tells nothing that users do not see by themselves.
_LONGEST = 0.5
_STRETCH = 0.02
_TRIES = 3
_HELD = 0.75


def held_share(calls: tuple[_Call, _Call], batch: Any) -> float | None:
    """Return what two threads take, by what one takes for the same calls: 0.5 side by side, 1 one by one.

    None where that cannot be told: on one core, or where a call is slow or fails.
    """
    if blas.cores() < 2:
        return None
    try:
        calls[0](batch)
        once = _seconds(calls[0], batch, 1)
        if once > _LONGEST:
            return None
        times = max(1, round(_STRETCH / max(once, 1e-6)))
        tries = range(_TRIES)
        alone = min(_seconds(calls[0], batch, times) for _ in tries)
        return min(_together(calls, batch, times) for _ in tries) / (2 * alone)
    except Exception:
        # Windows that are made up prove nothing against a model.
        return None


def is_held(share: float | None) -> bool:
    """Whether a model keeps the interpreter to itself."""
    return share is not None and share > _HELD


def said(model: str) -> str:
    """Return the line for the log."""
    return (
        f"model {model}: two threads in predict take as long as one after the other, as it holds the "
        'interpreter lock (GIL); with pool="processes" its workers would run side by side'
    )


def _seconds(call: _Call, batch: Any, times: int) -> float:
    begun = _clock()
    for _ in range(times):
        call(batch)
    return _clock() - begun


def _clock() -> float:
    """Seconds of this thread without those in which it waited for a core: other programs prove nothing."""
    while True:
        waited, now = _waited(), time.perf_counter()
        # Where it has waited between the two looks, they do not belong together.
        if _waited() == waited:
            return now - waited


def _waited() -> float:
    try:
        with open("/proc/thread-self/schedstat") as figures:
            return int(figures.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _together(calls: tuple[_Call, _Call], batch: Any, times: int) -> float:
    with ThreadPoolExecutor(1, thread_name_prefix="millstream-probe") as beside:
        other = beside.submit(_seconds, calls[1], batch, times)
        mine = _seconds(calls[0], batch, times)
        return max(mine, other.result())
