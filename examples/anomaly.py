"""Readings far from what a machine has shown so far: a z-score in plain NumPy, `python examples/anomaly.py`.

The model keeps mean and variance by machine. They are lost with the process, and a window that is predicted
again after a crash counts twice: fine for a detector that forgets anyway, not for a ledger.
"""

from collections import defaultdict

import numpy as np

from millstream import App, Record, Topic, TumblingWindow, Window

FORGET = 0.05
LIMIT = 6.0

app = App("anomaly")
readings = Topic("machine.readings", key="machine", timestamp="ts", fields=["vibration"])


@app.model(source=readings, window=TumblingWindow("1s", grace="0s"), sink="machine.alarms", batch=False)
class Anomaly:
    """Says what is odd, and nothing at all about the rest."""

    def load(self) -> None:
        """Begin with no idea of any machine."""
        self.known: defaultdict[str | bytes, tuple[float, float]] = defaultdict(lambda: (np.nan, np.nan))

    def predict(self, window: Window) -> dict[str, float] | None:
        """Compare the peak of a window with the past of its machine; None emits nothing."""
        values = window["vibration"]
        mean, variance = self.known[window.key]
        if np.isnan(mean):
            self.known[window.key] = (float(values.mean()), float(values.var()))
            return None
        scores = np.abs(values - mean) / np.sqrt(variance)
        worst = int(scores.argmax())
        if scores[worst] > LIMIT:
            return {"z": float(scores[worst]), "vibration": float(values[worst])}
        drift = float(values.mean()) - mean
        spread = float(((values - mean) ** 2).mean())
        self.known[window.key] = (mean + FORGET * drift, (1 - FORGET) * variance + FORGET * spread)
        return None


def stream() -> list[Record]:
    """Return a minute of two machines, twenty readings a second, with a blow at 31 s to the second one."""
    noise = np.random.default_rng(0)
    return [
        Record({"machine": machine, "ts": ts, "vibration": level + noise.normal() + blow})
        for ts in range(0, 60_000, 50)
        for machine, level in (("press", 3.0), ("saw", 10.0))
        for blow in [25.0 if (machine, ts) == ("saw", 31_000) else 0.0]
    ]


if __name__ == "__main__":
    for alarm in app.test({"machine.readings": stream()})["machine.alarms"]:
        print(alarm.value)
