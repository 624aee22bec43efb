"""BasicMotions for the examples: watches of people who stand, walk, run or play badminton.

Ten readings a second; half of the recordings are for training, the others are replayed. Source and terms:
`NOTICE.md` beside the file.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millstream import App, HoppingWindow, Record, Topic

FILE = Path(__file__).parents[1] / "python" / "millstream" / "_demo" / "basic_motions.csv"
FIELDS = ["ax", "ay", "az", "gx", "gy", "gz"]
LENGTH = 50  # readings in five seconds
HOP = 10

SOURCE = Topic("watch.readings", key="watch", timestamp="ts", fields=FIELDS)
WINDOW = HoppingWindow("5s", hop="1s", grace="0s", min_events=LENGTH)

Floats = NDArray[np.floating[Any]]


def recordings(split: str) -> dict[str, Floats]:
    """Return the recordings of a split, `"train"` or `"test"`, by name: "running-0" -> (100 readings, 6)."""
    found: dict[str, list[list[float]]] = {}
    with FILE.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == split:
                name = f"{row['activity']}-{row['recording']}"
                found.setdefault(name, []).append([float(row[field]) for field in FIELDS])
    return {name: np.array(rows) for name, rows in found.items()}


def windows() -> tuple[Floats, NDArray[np.str_]]:
    """Return windows to train on, (windows, LENGTH, 6), cut as the stream will be, and what each shows."""
    cut, labels = [], []
    for name, readings in recordings("train").items():
        starts = range(0, len(readings) - LENGTH + 1, HOP)
        cut += [readings[start : start + LENGTH] for start in starts]
        labels += [name.partition("-")[0]] * len(starts)
    return np.stack(cut), np.array(labels)


def statistics(x: Floats) -> Floats:
    """Sum up windows (n, LENGTH, 6) as (n, 30): training and serving call the same function."""
    step = np.abs(np.diff(x, axis=1)).mean(axis=1)
    return np.concatenate([x.mean(axis=1), x.std(axis=1), x.min(axis=1), x.max(axis=1), step], axis=1)


def replay(app: App, label: Callable[[dict[str, Any]], str]) -> list[dict[str, Any]]:
    """Run an app on the other recordings, each from a watch of its own; print how it did."""
    stream = [
        Record({"watch": name, "ts": number * 100, **dict(zip(FIELDS, reading.tolist(), strict=True))})
        for name, readings in recordings("test").items()
        for number, reading in enumerate(readings)
    ]
    # One watch after the other would be late for the clock of the first.
    stream.sort(key=lambda record: record.value["ts"])
    out = app.test({SOURCE.name: stream})
    results: list[dict[str, Any]] = [record.value for record in out["watch.activity"]]
    right = sum(label(result) == result["key"].partition("-")[0] for result in results)
    print(f"{right} of {len(results)} windows right")
    return results
