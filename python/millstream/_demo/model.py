"""The demo's model: a random forest on five statistics of every channel of a window."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from millstream._demo import data

if TYPE_CHECKING:
    from millstream import WindowBatch

STRIDE = data.RATE_HZ
"""Readings between two training windows: one second, like the hop of the windows it will see."""


def statistics(values: NDArray[np.float64], row_splits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute mean, deviation, minimum, maximum and mean step of every channel of every window.

    Args:
        values: The windows' readings one after the other, (readings, channels).
        row_splits: Where each window begins, and the end: (windows + 1). No window is empty.

    Returns:
        (windows, 5 * channels).
    """
    begins, lengths = row_splits[:-1], np.diff(row_splits)
    count = lengths[:, None]
    mean = np.add.reduceat(values, begins) / count
    spread = (values - np.repeat(mean, lengths, axis=0)) ** 2
    step = np.abs(np.diff(values, axis=0, prepend=values[:1]))
    step[begins] = 0.0  # the step into a window belongs to the window before it
    return np.concatenate(
        [
            mean,
            np.sqrt(np.add.reduceat(spread, begins) / count),
            np.minimum.reduceat(values, begins),
            np.maximum.reduceat(values, begins),
            np.add.reduceat(step, begins) / np.maximum(count - 1, 1),
        ],
        axis=1,
    )


def windows(recordings: data.Recordings) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Cut ten-second windows out of each activity's recordings, laid end to end as the replay does."""
    cut, labels = [], []
    for activity, stack in recordings.items():
        track = stack.reshape(-1, stack.shape[-1])
        starts = range(0, len(track) - data.READINGS + 1, STRIDE)
        cut += [track[start : start + data.READINGS] for start in starts]
        labels += [activity] * len(starts)
    row_splits = np.arange(len(cut) + 1) * data.READINGS
    return statistics(np.concatenate(cut), row_splits), np.array(labels)


class Activity:
    """Says what the wearer of a watch does; trained on the train split when the app starts."""

    forest: Any

    def load(self) -> None:
        """Train the forest: under a second."""
        from sklearn.ensemble import RandomForestClassifier  # an extra: only the demo needs it

        self.forest = RandomForestClassifier(n_estimators=100, random_state=0)
        self.forest.fit(*windows(data.load("train")))

    def predict(self, batch: "WindowBatch") -> dict[str, NDArray[Any]]:
        """Return the likeliest activity of every window and the share of trees that agree."""
        shares = self.forest.predict_proba(statistics(batch.values, batch.row_splits))
        return {"activity": self.forest.classes_[shares.argmax(axis=1)], "score": shares.max(axis=1)}
