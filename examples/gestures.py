"""Gestures by dynamic time warping in pure Python, in processes: `python examples/gestures.py`, no broker."""

import math
from typing import Any

from millstream import App, Record, Topic, TumblingWindow, WindowBatch

app = App("gestures")
readings = Topic("wrist.readings", key="wrist", timestamp="ts", fields=["turn"])

STEPS = 25
TEMPLATES = {
    "wave": [math.sin(6 * math.pi * step / STEPS) for step in range(STEPS)],
    "twist": [math.sin(2 * math.pi * step / STEPS) for step in range(STEPS)],
    "still": [0.0] * STEPS,
}


def distance(mine: list[float], template: list[float]) -> float:
    """How far two curves are apart when each may be stretched in time."""
    above = [math.inf] * len(template)
    for row, value in enumerate(mine):
        here: list[float] = []
        for column, other in enumerate(template):
            left = here[-1] if column else math.inf
            corner = above[column - 1] if column else math.inf
            before = min(left, above[column], corner) if row or column else 0.0
            here.append(before + abs(value - other))
        above = here
    return above[-1]


# Loops like these hold the interpreter: threads would take turns. A window that takes too long is given up.
@app.model(
    source=readings,
    window=TumblingWindow("1s", grace="200ms"),
    sink="wrist.gestures",
    pool="processes",
    workers=2,
    timeout="30s",
)
class Gesture:
    """The nearest template of each window."""

    def predict(self, batch: WindowBatch) -> dict[str, list[Any]]:
        """Compare each window with each template."""
        found = []
        for window in batch:
            curve = window["turn"].tolist()
            found.append(min((distance(curve, template), name) for name, template in TEMPLATES.items()))
        return {"gesture": [name for _, name in found], "distance": [round(far, 2) for far, _ in found]}


def made_up() -> list[Record]:
    """Return a second of each of three wrists: two gestures at a pace of their own, and none."""
    curves = {"ann": lambda t: 0.9 * math.sin(6 * math.pi * t**1.2), "bob": lambda t: 0.1, "cyd": twist}
    return [
        Record({"wrist": wrist, "ts": 40 * step, "turn": curve(step / STEPS)})
        for step in range(STEPS)
        for wrist, curve in curves.items()
    ]


def twist(t: float) -> float:
    """Turn there and back, slowly at first."""
    return math.sin(2 * math.pi * t**1.3)


# Each process imports this file, too, and is not to run it.
if __name__ == "__main__":
    for result in app.test({"wrist.readings": made_up()})["wrist.gestures"]:
        print(result.value["key"], result.value["gesture"], result.value["distance"])
