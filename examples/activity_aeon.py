"""A time series classifier of aeon, which wants channels first: `python examples/activity_aeon.py`.

sktime takes the same arrays.
"""

from operator import itemgetter

import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier
from basic_motions import LENGTH, SOURCE, WINDOW, replay, windows
from numpy.typing import NDArray

from millstream import App, WindowBatch

x, labels = windows()
rocket = MiniRocketClassifier(n_kernels=500, random_state=0).fit(x.transpose(0, 2, 1), labels)

app = App("activity-aeon")


@app.model(source=SOURCE, window=WINDOW, sink="watch.activity")
class Activity:
    """Compiled on its first call, and so warmed up before there is anything to keep waiting."""

    def warmup(self, batch: WindowBatch) -> None:
        """Call it once on a made-up batch."""
        self.predict(batch)

    def predict(self, batch: WindowBatch) -> NDArray[np.str_]:
        """Take the last LENGTH readings as (windows, channels, LENGTH); a gap at the front is a zero."""
        labels: NDArray[np.str_] = rocket.predict(batch.last(LENGTH, layout="nft", value=0.0))
        return labels


if __name__ == "__main__":
    replay(app, itemgetter("prediction"))
