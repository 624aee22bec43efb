"""The mean of the last two seconds, every second. Needs no broker: `python examples/quickstart.py`."""

import numpy as np

from millstream import App, HoppingWindow, Record, Topic, WindowBatch

app = App("quickstart")
readings = Topic("readings", key="sensor", timestamp="ts", fields=["v"])


@app.model(source=readings, window=HoppingWindow("2s", hop="1s", grace="1s"), sink="means")
def mean(batch: WindowBatch) -> dict[str, np.ndarray]:
    """Take many windows in one call: their readings end to end, and where each window begins."""
    return {"mean": np.add.reduceat(batch["v"], batch.row_splits[:-1]) / batch.lengths}


if __name__ == "__main__":
    seconds = [0, 2, 1, 3, 4]  # out of order, but within the grace of 1 s
    records = [Record({"sensor": "a", "ts": second * 1000, "v": second}) for second in seconds]
    for result in app.test({"readings": records})["means"]:
        print(result.value["window"], result.value["mean"])
