"""Memory of a long run whose model keeps every array it saw: whether the live state grows because of it.

A steady rate of events on the embedded broker, in windows that overlap; the model keeps each array of each
batch, up to a gigabyte of them. Once a second it notes the live state (`state_bytes` of the metrics), the
memory of the process and the bytes kept, and at the end compares the first minute with the last. What the
arrays do not explain is the rest: the interpreter, the broker and its logs, the state.
"""

import argparse
import json
import resource
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from millstream import App, HoppingWindow, Topic, WindowBatch
from millstream._core import EmbeddedBroker, Producer

ROOT = Path(__file__).parents[1]
TOPIC, KEYS = "kept-readings", 100
SIZE_S, HOP_S = 10, 2
MOST_KEPT = 1 << 30
# Samples that a figure is the mean of: a whole number of hops, as state rises and falls with them.
AROUND = 5 * HOP_S
MIB = 1 << 20


class Sample(NamedTuple):
    """One look; bytes."""

    at: float
    state: int
    rss: int
    kept: int


class Keeper:
    """A model that keeps every array it saw, or none."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.arrays: list[Any] = []
        self.bytes = 0

    def predict(self, batch: WindowBatch) -> Any:
        """Emit nothing: the log of the embedded broker is in this process, and must not grow by results."""
        if not self.keep:
            return [None] * len(batch)
        lengths, keys = batch.lengths, batch.keys
        arrays = (
            batch.values,
            batch.timestamps,
            batch.row_splits,
            batch.starts,
            batch.ends,
            batch.partitions,
        )
        self.arrays += (*arrays, lengths, keys)
        self.bytes += sum(map(held, (*arrays, lengths, keys))) + sum(map(sys.getsizeof, keys))
        return [None] * len(batch)


def held(array: np.ndarray[Any, Any]) -> int:
    """Return the bytes of an array: its values, wherever they lie, and the object."""
    return array.nbytes + sys.getsizeof(array) - (array.nbytes if array.flags.owndata else 0)


def rss() -> int:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def feed(rate: int, ended: threading.Event) -> None:
    """Send so many events a second, in steps of 20 ms, with the time of the clock as theirs."""
    producer, sent, began = Producer(EmbeddedBroker.get().brokers), 0, time.monotonic()
    while not ended.wait(0.02):
        now = int(time.time() * 1_000)
        due = int((time.monotonic() - began) * rate)
        for n in range(sent, due):
            producer.send(TOPIC, b'{"ts": %d, "v": %d}' % (now, n), key=b"%d" % (n % KEYS), timestamp=now)
        sent = due
    producer.flush()
    producer.close()


def measure(minutes: float, rate: int, keep: bool) -> list[Sample]:
    """Run for so long; returns a sample for each second."""
    EmbeddedBroker.get().create_topic(TOPIC, 2)
    app, keeper, ended = App("kept", brokers="embedded"), Keeper(keep), threading.Event()
    source = Topic(TOPIC, timestamp="ts", timestamp_unit="ms", fields=["v"])
    window = HoppingWindow(f"{SIZE_S}s", hop=f"{HOP_S}s", grace="1s")
    app.model(source, window=window, sink="kept.out", name="m")(keeper.predict)
    feeder = threading.Thread(target=feed, args=(rate, ended), name="feed")
    samples: list[Sample] = []
    with app:
        feeder.start()
        try:
            began = time.monotonic()
            while len(samples) < 60 * minutes and keeper.bytes < MOST_KEPT:
                time.sleep(max(0.0, began + len(samples) + 1 - time.monotonic()))
                state = app.metrics()["state_bytes"]
                samples.append(Sample(time.monotonic() - began, state, rss(), keeper.bytes))
        finally:
            ended.set()
            feeder.join()
    return samples


def figures(samples: Sequence[Sample]) -> dict[str, Any]:
    """Compare the end of the first minute, or of the first tenth of a shorter run, with the end."""
    first = min(60, max(AROUND, len(samples) // 10))

    def at(end: int) -> dict[str, float]:
        around = samples[max(0, end - AROUND) : end]
        return {
            "minute": end / 60,
            "state MiB": statistics.mean(sample.state for sample in around) / MIB,
            "RSS - kept MiB": statistics.mean(sample.rss - sample.kept for sample in around) / MIB,
            "kept MiB": statistics.mean(sample.kept for sample in around) / MIB,
        }

    begin, end = at(first), at(len(samples))
    return {
        "begin": begin,
        "end": end,
        "state, end to begin": end["state MiB"] / begin["state MiB"],
        "RSS - kept, end to begin": end["RSS - kept MiB"] / begin["RSS - kept MiB"],
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Memory of a model that keeps every array it saw")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=int, default=4_000, help="events a second")
    parser.add_argument("--keep", action=argparse.BooleanOptionalAction, default=True, help="or keep none")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-kept.json")
    options = parser.parse_args()
    samples = measure(options.minutes, options.rate, options.keep)
    found = figures(samples)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**found, "samples": samples}) + "\n")
    for point in (found["begin"], found["end"]):
        sizes = ", ".join(f"{name[:-4]} {size:.2f} MiB" for name, size in point.items() if name != "minute")
        print(f"minute {point['minute']:.3g}: {sizes}")
    for what in ("state, end to begin", "RSS - kept, end to begin"):
        print(f"{what}: {found[what]:.3g} (goal <= 1.1)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
