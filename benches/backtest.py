"""What a backtest of a NumPy model takes: events per second on one thread, and two threads against one.

The frame is HopList's: readings of a number by many keys, ten per second each; the model is the mean and the
spread of each window, or one that does as much arithmetic as a small network.
"""

import os

# One thread of the application is one thread of the machine: NumPy reads this when it is imported.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from millstream import App, HoppingWindow, Topic, WindowBatch

ROOT = Path(__file__).parents[1]
BEGIN = 1_700_000_000_000
PAIRS = 5


def readings(events: int, keys: int) -> pa.Table:
    """Return ten readings per second and key, in order."""
    number = np.arange(events)
    times = BEGIN + number // keys * 100
    names = np.array([f"sensor-{key:05}" for key in range(keys)])
    values = np.random.default_rng(1).normal(size=events)
    return pa.table({"sensor": names[number % keys], "ts": times, "v": values})


def mean(batch: WindowBatch) -> Any:
    """The mean of each window."""
    return np.add.reduceat(batch.values[:, 0], batch.row_splits[:-1]) / batch.lengths


def network() -> Callable[[WindowBatch], Any]:
    """Return a model of two layers, for which NumPy lets go of the interpreter."""
    random = np.random.default_rng(2)
    first, second = random.normal(size=(64, 512)), random.normal(size=(512, 512))

    def predict(batch: WindowBatch) -> Any:
        hidden = np.tanh(batch.last(64, value=0.0)[:, :, 0] @ first)
        return np.tanh(hidden @ second).mean(axis=1)

    return predict


def seconds(predict: Callable[[WindowBatch], Any], table: pa.Table, workers: int) -> float:
    """Return how long one backtest takes."""
    app = App("bench")
    source = Topic("readings", key="sensor", timestamp="ts", timestamp_unit="ms", fields=["v"])
    window = HoppingWindow("10s", hop="1s", grace="0s")
    app.model(source, window=window, sink="out", name="m")(predict)
    began = time.perf_counter()
    app.backtest(table, workers=workers, progress=False)
    return time.perf_counter() - began


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Backtests, measured")
    parser.add_argument("--events", type=int, default=2_000_000, help="events of the longest backtest")
    parser.add_argument("--keys", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-backtest.json")
    options = parser.parse_args()
    table = readings(options.events, options.keys)
    once = [options.events / seconds(mean, table, 1) for _ in range(3)]
    part, predict = table.slice(0, options.events // 4), network()
    figures: dict[str, Any] = {"events/s, mean, one thread": round(statistics.median(once))}
    for name, model, rows in (("mean", mean, table), ("network", predict, part)):
        ratios = [seconds(model, rows, 1) / seconds(model, rows, 2) for _ in range(PAIRS)]
        figures[f"two threads to one, {name}"] = round(statistics.median(ratios), 2)
    load = os.getloadavg()[0]
    figures["load of the machine"] = round(load, 1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
