"""A fitted scikit-learn classifier on every window. Needs no broker: `python examples/activity.py`.

In the folder of this file, `millstream run activity:app` runs it on the Kafka that MILLSTREAM_BROKERS names.
"""

from operator import itemgetter

from basic_motions import LENGTH, SOURCE, WINDOW, replay, statistics, windows
from sklearn.ensemble import RandomForestClassifier

from millstream import App

# Yours comes out of a file: joblib.load("activity.joblib").
x, labels = windows()
forest = RandomForestClassifier(n_estimators=50, random_state=0).fit(statistics(x), labels)

app = App("activity")
app.add_model(
    forest,
    source=SOURCE,
    window=WINDOW,
    sink="watch.activity",
    features=lambda batch: statistics(batch.last(LENGTH)),
    method="predict_proba",  # results have the fields `label` and `score`
    name="activity",
)

if __name__ == "__main__":
    for result in replay(app, itemgetter("label"))[:4]:
        print(result)
