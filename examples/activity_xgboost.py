"""XGBoost on every window: `python examples/activity_xgboost.py`, with `pip install xgboost-cpu`."""

import numpy as np
from basic_motions import LENGTH, SOURCE, WINDOW, replay, statistics, windows
from xgboost import XGBClassifier

from millstream import App

x, labels = windows()
# It wants classes by number; their names go into the results again below.
names, numbers = np.unique(labels, return_inverse=True)
boosted = XGBClassifier(n_estimators=30, max_depth=3, n_jobs=1, random_state=0).fit(statistics(x), numbers)

app = App("activity-xgboost")
app.add_model(
    boosted,
    source=SOURCE,
    window=WINDOW,
    sink="watch.activity",
    features=lambda batch: statistics(batch.last(LENGTH)),
    method="predict_proba",
    outputs=[*names],  # a field for each activity
    name="activity",
)

if __name__ == "__main__":
    for result in replay(app, lambda result: max(names, key=lambda name: result[name]))[:4]:
        print(result)
