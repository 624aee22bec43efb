"""Props of the tests: a model that keeps what it saw, an app around it, and readings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from millstream import App, HoppingWindow, Record, Topic, TumblingWindow, Window, WindowBatch

TUMBLING = TumblingWindow("10s", grace="0s")
READINGS = Topic("readings", timestamp="ts", fields=["v"])


class Recorder:
    """A model that keeps its batches and returns the number of events of each window."""

    def __init__(self) -> None:
        self.batches: list[WindowBatch] = []

    def __call__(self, batch: WindowBatch) -> NDArray[np.int64]:
        self.batches.append(batch)
        return batch.lengths

    @property
    def windows(self) -> list[Window]:
        """Every window seen, in order."""
        return [window for batch in self.batches for window in batch]

    @property
    def contents(self) -> dict[tuple[str | bytes, int, int], list[float]]:
        """The first field of the events by (key, start, end)."""
        return {(w.key, w.start, w.end): w.values[:, 0].tolist() for w in self.windows}


def recording_app(
    window: HoppingWindow = TUMBLING, source: Topic = READINGS, **options: Any
) -> tuple[App, Recorder]:
    """Return an app called `app` with one recording model `m`, `readings` -> `results`."""
    app, recorder = App("app"), Recorder()
    app.model(source=source, window=window, sink="results", name="m", **options)(recorder)
    return app, recorder


def reading(ts: int, v: float = 0.0, key: str = "a", partition: int = 0) -> Record:
    """Return a reading of `v` at `ts`."""
    return Record({"ts": ts, "v": v}, key=key, partition=partition)


def readings(*times: int, key: str = "a", partition: int = 0) -> list[Record]:
    """Return a reading for each of `times`, whose value is its time."""
    return [reading(ts, float(ts), key, partition) for ts in times]


def headers(record: Record) -> dict[str, str]:
    """Return the headers of an output record as text."""
    return {name: value.decode() for name, value in record.headers}
