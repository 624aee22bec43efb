"""LightGBM on every window. Needs no broker: `python examples/activity_lightgbm.py`."""

from operator import itemgetter

import numpy as np
from basic_motions import LENGTH, SOURCE, WINDOW, replay, statistics, windows
from lightgbm import LGBMClassifier

from millstream import App, WindowBatch

x, labels = windows()
# One thread: Millstream calls a model from several at once where it has several workers.
boosted = LGBMClassifier(n_estimators=30, min_child_samples=5, n_jobs=1, random_state=0, verbosity=-1)
boosted.fit(statistics(x), labels)

app = App("activity-lightgbm")


@app.model(source=SOURCE, window=WINDOW, sink="watch.activity")
def activity(batch: WindowBatch) -> dict[str, object]:
    """Call the booster itself, which takes less time than its class does on a small batch."""
    shares = np.asarray(boosted.booster_.predict(statistics(batch.last(LENGTH))))
    return {"label": boosted.classes_[shares.argmax(axis=1)], "score": shares.max(axis=1)}


if __name__ == "__main__":
    replay(app, itemgetter("label"))
