"""A short probe: whether two threads in a model get on any faster than one."""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from millstream._pool import blas

_Call = Callable[[Any], Any]
# The time, and how long this thread has waited for a core so far; seconds.
_Look = tuple[float, float]

# A call that takes longer is not worth the wait, and tells nothing that users do not see by themselves.
_LONGEST = 0.5
_STRETCH = 0.02
_TRIES = 5
_HELD = 0.75
# Threads that wait for a core longer, by the time that passes, tell little of what they do on one.
_BUSY = 0.2
# A thread that asks for the interpreter wakes up this often; waits for a core then hide those for the lock.
_ASKS_EVERY = 0.05


def held_share(calls: tuple[_Call, _Call], batch: Any) -> float | None:
    """Return what two threads take, by what one takes for the same calls: 0.5 side by side, 1 one by one.

    None where that cannot be told: on one core, where other programs keep the cores busy, or where a call is
    slow or fails.
    """
    if blas.cores() < 2:
        return None
    try:
        calls[0](batch)
        once, _ = _passed([_stretch(calls[0], batch, 1)])
        if once > _LONGEST:
            return None
        times = max(1, round(_STRETCH / max(once, 1e-6)))
        # In pairs, as the pace of a core changes; the middle one, as a burst of other work spoils one.
        with _patient():
            shares = [_share(calls, batch, times) for _ in range(_TRIES)]
        told = [share for share in shares if share is not None]
        return statistics.median(told) if told else None
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


@contextmanager
def _patient() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(max(interval, _ASKS_EVERY))
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def _share(calls: tuple[_Call, _Call], batch: Any, times: int) -> float | None:
    alone, _ = _passed([_stretch(calls[0], batch, times)])
    together, waited = _passed(_together(calls, batch, times))
    return together / (2 * alone) if waited < _BUSY * (together + waited) else None


def _together(calls: tuple[_Call, _Call], batch: Any, times: int) -> list[tuple[_Look, _Look]]:
    start = threading.Barrier(2)

    def beside() -> tuple[_Look, _Look]:
        start.wait()
        return _stretch(calls[1], batch, times)

    with ThreadPoolExecutor(1, thread_name_prefix="millstream-probe") as pool:
        other = pool.submit(beside)
        start.wait()
        mine = _stretch(calls[0], batch, times)
        return [mine, other.result()]


def _passed(stretches: list[tuple[_Look, _Look]]) -> tuple[float, float]:
    """Seconds from the first begin to the last end without waits for a core, and those of the waits.

    Other programs prove nothing; who waits for the lock of a thread that waits for a core sleeps meanwhile.
    """
    begun, ended = min(begin[0] for begin, _ in stretches), max(end[0] for _, end in stretches)
    waited = sum(end[1] - begin[1] for begin, end in stretches)
    return ended - begun - waited, waited


def _stretch(call: _Call, batch: Any, times: int) -> tuple[_Look, _Look]:
    begin = _look()
    for _ in range(times):
        call(batch)
    return begin, _look()


def _look() -> _Look:
    while True:
        waited, now = _waited(), time.perf_counter()
        # Where it has waited between the two looks, they do not belong together.
        if _waited() == waited:
            return now, waited


def _waited() -> float:
    try:
        with open("/proc/thread-self/schedstat") as figures:
            return int(figures.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
