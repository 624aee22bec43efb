"""Random logs against a naive account of the same windows: a dict of lists that shares nothing with ours."""

from collections import defaultdict
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from harness import reading, recording_app
from millstream import HoppingWindow
from millstream._durations import format_ms


@dataclass(frozen=True)
class Shape:
    """A window in whole ms."""

    size: int
    hop: int
    grace: int
    offset: int

    def starts(self, ts: int) -> list[int]:
        """Every start whose window holds `ts`."""
        k = (ts - self.size - self.offset) // self.hop + 1
        found = []
        while (start := self.offset + k * self.hop) <= ts:
            found.append(start)
            k += 1
        return found


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    size = draw(st.integers(1, 50))
    hop = draw(st.integers(1, size))
    return Shape(size, hop, draw(st.integers(0, 60)), draw(st.integers(-20, 20)))


Log = list[tuple[int, str, int]]
logs = st.lists(
    st.tuples(st.integers(-200, 200), st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=60
)


def oracle(log: Log, shape: Shape) -> tuple[dict[tuple[int, str, int], list[float]], int]:
    """Return the values of each window by (partition, key, start), and the number of late pairs."""
    windows: dict[tuple[int, str, int], list[tuple[int, int]]] = defaultdict(list)
    clock: dict[int, int] = {}
    late = 0
    for number, (ts, key, partition) in enumerate(log):
        for start in shape.starts(ts):
            if partition in clock and start + shape.size <= clock[partition] - shape.grace:
                late += 1
            else:
                windows[partition, key, start].append((ts, number))
        clock[partition] = max(ts, clock.get(partition, ts))
    return {name: [float(number) for _, number in sorted(events)] for name, events in windows.items()}, late


@settings(max_examples=60, deadline=None)
@given(log=logs, shape=shapes(), workers=st.integers(1, 3), max_batch=st.integers(1, 9))
def test_every_window_holds_exactly_its_events_in_order(
    log: Log, shape: Shape, workers: int, max_batch: int
) -> None:
    window = HoppingWindow(
        format_ms(shape.size),
        hop=format_ms(shape.hop),
        grace=format_ms(shape.grace),
        offset=format_ms(shape.offset),
    )
    app, seen = recording_app(window, workers=workers, max_batch=max_batch)
    fed = [reading(ts, float(number), key, partition) for number, (ts, key, partition) in enumerate(log)]
    out = app.test({"readings": fed})

    expected, late = oracle(log, shape)
    got = {(w.partition, w.key, w.start): w.values[:, 0].tolist() for w in seen.windows}
    assert got == expected
    assert len(seen.windows) == len(out["results"]) == len(expected)
    assert app.metrics()["late_pairs"] == late
