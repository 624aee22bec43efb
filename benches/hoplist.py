"""HopList as a user writes it, and a thread that reads its counters.

`python benches/hoplist.py JSON` runs to the end of the topic and prints one line of JSON; with `serve` it
says that it runs, until it is told to stop.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from typing import Any, NamedTuple

import numpy as np

from millstream import App, HoppingWindow, Topic, WindowBatch

LOOK = 0.01  # seconds between two looks at the counters


def make(spec: dict[str, Any]) -> App:
    """The app: the mean of the last seconds, every second, for each sensor."""
    app = App(
        spec["name"],
        brokers=spec["brokers"],
        guarantee=spec["guarantee"],
        epoch=spec["epoch"],
        lanes=spec["lanes"],
        web=spec.get("web"),
    )
    fields = ["v", *(f"v{number}" for number in range(1, spec["fields"]))]
    readings = Topic(spec["topic"], key="sensor", timestamp="ts", fields=fields)
    size, hop, grace = (f"{spec[name]}ms" for name in ("size_ms", "hop_ms", "grace_ms"))
    window = HoppingWindow(size, hop=hop, grace=grace, min_events=spec["min_events"])

    def mean(batch: WindowBatch) -> dict[str, np.ndarray]:
        return {"mean": np.add.reduceat(batch["v"], batch.row_splits[:-1]) / batch.lengths}

    for number in range(spec["models"]):
        sink = spec["sink"] if number == 0 else f"{spec['sink']}-{number}"
        app.model(source=readings, window=window, sink=sink, name=f"mean{number or ''}")(mean)
    return app


class Mark(NamedTuple):
    """How far a run had come at an instant."""

    consumed: int
    epochs: int
    time: float
    cpu: float


class Meter(threading.Thread):
    """Looks at the counters: from the instant at which the warm-up is consumed to the last commit."""

    def __init__(self, app: App, skip: int) -> None:
        """The first `skip` events are left out."""
        super().__init__(daemon=True)
        self._app = app
        self._skip = skip
        self._first: Mark | None = None
        self._last: Mark | None = None
        self._marks: list[Mark] = []
        self._done = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._done.wait(LOOK):
            self._look()

    def stop(self) -> None:
        """Take the last look."""
        self._done.set()
        self.join()
        self._look()

    def _look(self) -> None:
        counters = self._app.metrics()
        use = resource.getrusage(resource.RUSAGE_SELF)
        mark = Mark(counters["consumed"], counters["epochs"], time.monotonic(), use.ru_utime + use.ru_stime)
        if self._first is None and mark.consumed >= self._skip:
            self._first = mark
        # The instants that count are those at which a commit has made the number rise.
        if self._last is None or mark.epochs > self._last.epochs:
            self._last = mark
            self._marks.append(mark)

    def report(self, total: int) -> dict[str, float]:
        """What was measured, now that `total` events are done."""
        first, last = self._first, self._last
        assert first is not None
        assert last is not None
        events, seconds = total - first.consumed, last.time - first.time
        return {
            "events": events,
            "seconds": seconds,
            "events_per_s": events / seconds,
            "cpu_us_per_event": (last.cpu - first.cpu) / events * 1e6,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    def marks(self) -> list[tuple[float, int, float]]:
        """The way of one process of several, after its part of the warm-up: time, events and CPU."""
        steady = [mark for mark in self._marks if mark.consumed >= self._skip]
        return [(mark.time, mark.consumed, mark.cpu) for mark in steady]


def main() -> None:
    """Run to the end of the topic, or until told to stop."""
    spec = json.loads(sys.argv[1])
    app = make(spec)
    if sys.argv[2:] == ["serve"]:
        print("running", flush=True)
        app.run()
        return
    meter = Meter(app, spec["skip"] // spec["processes"])
    meter.start()
    app.run(until="end")
    meter.stop()
    report: dict[str, Any] = dict(meter.report(app.metrics()["consumed"]))
    if spec["processes"] > 1:
        report["marks"] = meter.marks()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
