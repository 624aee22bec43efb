"""What length buckets save a model that pads, as a ratio of one run, on the embedded broker.

A small network in NumPy on windows of 4 to 512 events, padded to the longest of their batch. Lengths are
spread evenly over their logarithm, so most are short and every batch without buckets has a long one.
"""

import statistics
import time
from typing import Any

import numpy as np

from millstream import App, Topic, TumblingWindow, WindowBatch
from millstream._core import EmbeddedBroker, Producer

BEGIN = 1_700_000_000_000
KEYS = 256
# The embedded broker keeps some 5 MB of a partition.
PARTITIONS = 8
SHORTEST, LONGEST = 4, 512
BOUNDS = (8, 16, 32, 64, 128, 256)
HIDDEN = 16

_rng = np.random.default_rng(6)
_IN = _rng.normal(size=(1, HIDDEN))
_ON = _rng.normal(size=(HIDDEN, HIDDEN))


def load(topic: str, windows: int) -> None:
    """Write the events of so many windows of a second, and those that close the last ones."""
    broker = EmbeddedBroker.get()
    broker.create_topic(topic, PARTITIONS)
    producer = Producer(broker.brokers)
    drawn = np.random.default_rng(5).uniform(np.log(SHORTEST), np.log(LONGEST), windows)
    for n, length in enumerate(np.exp(drawn).astype(int)):
        key, start = n % KEYS, BEGIN + 1_000 * (n // KEYS)
        for ts in range(start, start + length):
            value = b'{"ts": %d, "v": %f}' % (ts, (ts - start) / 64)
            producer.send(topic, value, key=b"%d" % key, timestamp=ts, partition=key % PARTITIONS)
    end = BEGIN + 1_000 * (windows // KEYS + 1)
    for partition in range(PARTITIONS):
        value = b'{"ts": %d, "v": 0}' % end
        producer.send(topic, value, key=b"%d" % partition, timestamp=end, partition=partition)
    producer.flush()
    producer.close()


def seconds(name: str, topic: str, windows: int, **options: Any) -> tuple[float, float]:
    """Return what the calls of a run took, and which share of the places that they filled held no event."""
    took = places = events = 0.0
    seen = 0

    def predict(batch: WindowBatch) -> Any:
        nonlocal took, places, events, seen
        began = time.thread_time()
        x, mask = batch.pad(value=0.0)
        hidden = np.tanh(np.tanh(x @ _IN) @ _ON)
        score = (hidden * mask[:, :, None]).sum(axis=(1, 2)) / batch.lengths
        took += time.thread_time() - began
        places, events, seen = places + mask.size, events + len(batch.values), seen + len(batch)
        return score

    source = Topic(topic, timestamp="ts", timestamp_unit="ms", fields=["v"], idle_timeout=None)
    app = App(name, brokers="embedded")
    window = TumblingWindow("1s", grace="0s")
    app.model(source, window=window, sink=f"{name}.out", name="m", **options)(predict)
    app.run(until="end")
    assert seen == windows, (seen, windows)
    return took, 1 - events / places


def padded(windows: int) -> dict[str, Any]:
    """CPU time of the calls without buckets to that with them, the middle one of three pairs."""
    topic = "mixed-lengths"
    load(topic, windows)
    ratios, empty = [], (0.0, 0.0)
    for pair in range(3):
        mixed, without = seconds(f"mixed-{pair}", topic, windows)
        bucketed, with_buckets = seconds(f"bucketed-{pair}", topic, windows, length_buckets=BOUNDS)
        ratios.append(mixed / bucketed)
        empty = (without, with_buckets)
    return {
        "what": f"padding windows of {SHORTEST} to {LONGEST} events, without to with length_buckets, CPU",
        "ratio": statistics.median(ratios),
        "goal": ">= 2",
        "padding": f"{empty[0]:.0%} of the places without, {empty[1]:.0%} with",
    }
