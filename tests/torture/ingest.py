"""One app over a loaded topic, timed from within: `python ingest.py CONFIG.json` prints a line of JSON.

The configuration is that of a worker, with `until_consumed`: the run is stopped when so many records are
consumed. Reports when records began and ceased to be consumed, and when the state had been read back.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from millstream import App, HoppingWindow, Topic, WindowBatch

LOOK = 0.002  # seconds between two looks at the counters


class Restores(logging.Handler):
    """When a restore was begun."""

    began: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Note the first line that says so."""
        if self.began is None and record.name == "millstream.restore":
            self.began = time.monotonic()


class Meter(threading.Thread):
    """Looks at the counters until the run ends."""

    def __init__(self, app: App, until: int | None) -> None:
        """`until` records are to be consumed."""
        super().__init__(name="meter", daemon=True)
        self.app, self.until = app, until
        self.consumed: list[tuple[float, int]] = []  # the moments at which more was, and how much by then
        self.committed: list[tuple[float, int]] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Note the first and the last moment at which records came."""
        stopped = False
        while not self.done.wait(LOOK):
            metrics, now = self.app.metrics(), time.monotonic()
            consumed = metrics["consumed"]
            (source,) = metrics["sources"].values()
            offsets = [partition["committed_offset"] or 0 for partition in source["partitions"].values()]
            note(self.consumed, now, consumed)
            note(self.committed, now, sum(offsets))
            if self.until is not None and consumed >= self.until and not stopped:
                stopped = True
                os.kill(os.getpid(), 15)


def note(moments: list[tuple[float, int]], now: float, value: int) -> None:
    """Keep a value that has grown."""
    if value > (moments[-1][1] if moments else 0):
        moments.append((now, value))


def main() -> None:
    """Run, and report."""
    config: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    restores = Restores()
    logging.basicConfig(level=logging.INFO, handlers=[restores])
    app = App(**config["app"])
    (spec,) = config["topics"]
    topic = Topic(**spec)
    (model,) = config["models"]
    window = HoppingWindow(**model.pop("window"))

    def mean(batch: WindowBatch) -> dict[str, np.ndarray]:
        return {"mean": np.add.reduceat(batch["seq"], batch.row_splits[:-1]) / batch.lengths}

    app.model(**{**model, "source": topic}, window=window)(mean)
    meter = Meter(app, config.get("until_consumed"))
    meter.start()
    app.run(**config["run"])
    meter.done.set()
    meter.join()
    metrics = app.metrics()
    report = {
        "consumed": meter.consumed,
        "committed": meter.committed,
        "restored": None if restores.began is None else meter.consumed[0][0] - restores.began,
        "windows": metrics["windows"],
        "transactions": metrics["transactions"],
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
