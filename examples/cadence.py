"""Steps per minute of everyone who wears a watch, every second, and a second model on those results.

Reads `watch.readings`: JSON with the watch, the time in ms and the acceleration, about ten times a second.
Run it with `millstream run examples.cadence:app` or `python examples/cadence.py`.
"""

import numpy as np

from millstream import App, HoppingWindow, Topic, WindowBatch

RATE_HZ = 10
BINS = 4096

# MILLSTREAM_BROKERS says where Kafka is; without it, localhost:9092. Results are written exactly once.
app = App("cadence")

readings = Topic("watch.readings", key="watch", timestamp="ts", fields=["ax", "ay", "az"])


# Every second, for each watch, its last ten seconds. Readings may come two seconds behind the newest one,
# and a window with less than half of its readings is not worth a call.
@app.model(
    source=readings,
    window=HoppingWindow("10s", hop="1s", grace="2s", min_events=50),
    sink="watch.cadence",
)
class Cadence:
    """Stands for your model: dear to load, dear to run, glad of many windows in a call."""

    def load(self) -> None:
        """Get ready, once in the process, before the first window."""
        frequencies = np.fft.rfftfreq(BINS, 1 / RATE_HZ)
        self.steps = (frequencies >= 0.8) & (frequencies <= 4.0)
        self.per_minute = frequencies[self.steps] * 60

    def predict(self, batch: WindowBatch) -> dict[str, np.ndarray]:
        """Find the strongest rhythm; up to 256 windows of all watches come in one call."""
        padded, _ = batch.pad()  # (windows, longest, 3), NaN on the left where a window is shorter
        force = np.linalg.norm(padded, axis=2)
        swing = np.nan_to_num(force - np.nanmean(force, axis=1, keepdims=True))
        power = np.abs(np.fft.rfft(swing, n=BINS)[:, self.steps])
        return {"steps_per_minute": self.per_minute[power.argmax(axis=1)], "force": np.nanmax(force, axis=1)}


# The results are a topic like any other. Each has the watch as its key and the end of its window as its time,
# and they come in the order of that time, so nothing is late and no grace is needed.
cadence = Topic("watch.cadence", fields=["steps_per_minute"])


@app.model(source=cadence, window=HoppingWindow("1m", hop="10s", grace="0s"), sink="watch.effort")
def effort(batch: WindowBatch) -> dict[str, np.ndarray]:
    """Sum up a minute: the mean cadence, how far it rose, and whether that is running."""
    steps, first, last = batch["steps_per_minute"], batch.row_splits[:-1], batch.row_splits[1:] - 1
    mean = np.add.reduceat(steps, first) / batch.lengths
    return {"steps_per_minute": mean, "rise": steps[last] - steps[first], "running": mean > 140}


if __name__ == "__main__":
    app.run()
