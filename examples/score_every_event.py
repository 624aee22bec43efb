"""A score for every payment, as it comes: no window, no state, one result per event.

Reads `payments`: JSON with the card, the time in ms, the amount, how far from home, and the hour of the day.
Run it with `millstream run examples.score_every_event:app` or `python examples/score_every_event.py`.
"""

import numpy as np
from sklearn.ensemble import IsolationForest

from millstream import App, EventBatch, Topic

# MILLSTREAM_BROKERS says where Kafka is; without it, localhost:9092. Each payment is scored exactly once.
app = App("fraud")

payments = Topic("payments", key="card", timestamp="ts", fields=["amount", "km_from_home", "hour"])


def history(count: int = 2_000) -> np.ndarray:
    """Stand for the payments that your model was fitted on: most of them small, near home, by day."""
    rng = np.random.default_rng(7)
    return np.column_stack([rng.gamma(2, 20, count), rng.gamma(1.5, 4, count), rng.normal(14, 3, count)])


# As many payments as there are, up to 512, go into one call; none waits for others for more than 20 ms.
@app.batch(payments, sink="payments.scored", max_events=512, max_wait="20ms", version="1")
class Fraud:
    """A detector of what is unlike the rest."""

    def load(self) -> None:
        """Get ready, once in the process; a model of yours would be read from its file here."""
        self.forest = IsolationForest(n_estimators=50, random_state=0).fit(history())

    def predict(self, batch: EventBatch) -> dict[str, np.ndarray]:
        """Give a row per payment: how unlike the rest it is, and whether somebody should look at it."""
        score = -self.forest.score_samples(batch.values)  # values: (payments, 3)
        return {"score": score, "suspicious": score > 0.65}


if __name__ == "__main__":
    app.run()
