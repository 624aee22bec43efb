"""A recurrent network of PyTorch on padded sequences: `python examples/activity_torch.py`, on the processor.

Windows need not be full: those at the beginning of a recording have down to ten readings.
"""

from operator import itemgetter

import numpy as np
import torch
from basic_motions import LENGTH, SOURCE, replay, windows
from numpy.typing import NDArray
from torch.nn.utils.rnn import pack_padded_sequence

from millstream import App, HoppingWindow, WindowBatch


class Network(torch.nn.Module):  # type: ignore[misc]
    """The last state of a GRU, and a layer on it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(6, 32, batch_first=True)
        self.out = torch.nn.Linear(32, classes)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return a score for each class; `x` is (windows, longest, 6), padded on the right."""
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        scores: torch.Tensor = self.out(last[0])
        return scores


def train() -> tuple[Network, NDArray[np.str_]]:
    """Fit the network on windows cut to any length; yours comes out of a file."""
    torch.manual_seed(0)
    x, labels = windows()
    names, numbers = np.unique(labels, return_inverse=True)
    inputs, wanted = torch.tensor(x, dtype=torch.float32), torch.tensor(numbers)
    network = Network(len(names))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(80):
        lengths = torch.randint(10, LENGTH + 1, (len(x),))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs, lengths), wanted).backward()
        optimizer.step()
    return network.eval(), names


app = App("activity-torch")


@app.model(
    source=SOURCE,
    window=HoppingWindow("5s", hop="1s", grace="0s", min_events=10),
    sink="watch.activity",
)
class Activity:
    """One instance for all workers: a network in `eval()` may be called from several threads."""

    def load(self) -> None:
        """Get ready, once in the process."""
        torch.set_num_threads(1)  # small windows gain nothing from more, and workers are threads themselves
        self.network, self.names = train()

    def predict(self, batch: WindowBatch) -> dict[str, object]:
        """Pad on the right, where packed sequences want it, and say how long each window is."""
        x, mask = batch.pad(side="right", value=0.0, dtype="float32")
        # What pad gives is the model's to write to, so it becomes a tensor without a copy.
        with torch.inference_mode():
            scores = self.network(torch.from_numpy(x), torch.from_numpy(mask.sum(axis=1)))
            shares = scores.softmax(dim=1).numpy()
        return {"label": self.names[shares.argmax(axis=1)], "score": shares.max(axis=1)}


if __name__ == "__main__":
    replay(app, itemgetter("label"))
