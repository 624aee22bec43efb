"""What a window costs beside the model, and what a model that keeps its arrays costs, by backtests.

Windows of 100 events of one field, one for each event: skipped when they close (`min_events`), against given
to a model that does nothing, in batches of 256. The difference is gather, batch, call, conversion and
encoding; producing to a broker is not in it. Memory is the peak of a process that keeps every array, against
one that keeps none.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from millstream import App, HoppingWindow, Topic, WindowBatch

ROOT = Path(__file__).parents[1]
BEGIN = 1_700_000_000_000
EVENTS = 100  # in a window
EVERY = 10  # ms between two events of a key, and between two windows
KEYS = 512
TRIES = 5


def readings(events: int) -> pa.Table:
    """Return so many events, in order."""
    number = np.arange(events)
    names = np.array([f"sensor-{key:05}" for key in range(KEYS)])
    times = BEGIN + number // KEYS * EVERY
    return pa.table({"sensor": names[number % KEYS], "ts": times, "v": number.astype(float)})


def nothing(batch: WindowBatch) -> Any:
    """A model that looks at nothing."""
    return batch.lengths


def backtest(predict: Callable[[WindowBatch], Any], table: pa.Table, **window: Any) -> None:
    """Run a model in one thread."""
    app = App("windows")
    source = Topic("readings", key="sensor", timestamp="ts", timestamp_unit="ms", fields=["v"])
    hopping = HoppingWindow(f"{EVENTS * EVERY}ms", hop=f"{EVERY}ms", grace="0s", **window)
    app.model(source, window=hopping, sink="out", name="m", timestamps=False)(predict)
    app.backtest(table, workers=1, drain=False, progress=False)


def overhead(events: int) -> dict[str, Any]:
    """CPU time per window, in microseconds."""
    table = readings(events)
    windows = 0

    def count(batch: WindowBatch) -> Any:
        nonlocal windows
        windows += len(batch)
        return batch.lengths

    def cost(**window: Any) -> float:
        began = time.process_time()
        backtest(nothing, table, **window)
        return time.process_time() - began

    backtest(count, table)
    pairs = [(cost(), cost(min_events=EVENTS + 1)) for _ in range(TRIES)]
    spent = min(given for given, _ in pairs) - min(skipped for _, skipped in pairs)
    what = "overhead per window of 100 events, batches of 256, CPU us"
    return {"what": what, "ratio": spent / windows * 1e6, "goal": "< 2"}


def peak(events: int, keep: bool) -> tuple[int, int]:
    """Return the peak of memory of this process after a run, and the size of what was kept, in bytes."""
    arrays: list[Any] = []

    def keeping(batch: WindowBatch) -> Any:
        arrays.append(batch.values)
        return batch.lengths

    backtest(keeping if keep else nothing, readings(events))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, sum(array.nbytes for array in arrays)


def kept(events: int) -> dict[str, Any]:
    """Memory that a model which keeps each of its arrays costs, to the size of those arrays."""
    (without, _), (with_all, size) = (alone(events, keep) for keep in (False, True))
    what = "memory of a model that keeps all its arrays, to their own size"
    return {"what": what, "ratio": (with_all - without) / size, "goal": "<= 1.1"}


def alone(events: int, keep: bool) -> tuple[int, int]:
    """The same in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(peak, events, keep).result()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="A window, measured")
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-windows.json")
    options = parser.parse_args()
    figures = [overhead(options.events), kept(options.events)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    for figure in figures:
        print(f"{figure['what']}: {figure['ratio']:.3g} (goal {figure['goal']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
