"""What landed in the output topic, held against what the wearers really did."""

import json
from dataclasses import dataclass, field

from millstream._demo.replay import Truth, Watches


@dataclass(frozen=True)
class Prediction:
    """One result as read from the output topic, and the truth beside it."""

    watch: str
    start: int
    end: int
    activity: str
    score: float
    truth: Truth

    @property
    def right(self) -> bool:
        """Whether the model named the activity."""
        return self.activity == self.truth.activity

    @property
    def verdict(self) -> str:
        """`right` or `wrong`; `not scored` for a window that no single activity fills."""
        if not self.truth.complete:
            return "not scored"
        return "right" if self.right else "wrong"


@dataclass
class Score:
    """Counts results as they are read, and keeps the latest one of every watch."""

    watches: Watches
    windows: int = 0
    complete: int = 0
    right: int = 0
    latest: dict[str, Prediction] = field(default_factory=dict)

    def add(self, value: bytes) -> None:
        """Take one record of the output topic."""
        result = json.loads(value)
        watch, start, end = result["key"], result["window"]["start"], result["window"]["end"]
        truth = self.watches.truth(watch, start, end)
        prediction = Prediction(watch, start, end, result["activity"], result["score"], truth)
        self.windows += 1
        self.complete += truth.complete
        self.right += truth.complete and prediction.right
        self.latest[watch] = prediction

    @property
    def accuracy(self) -> str:
        """The share of complete windows named right, and of how many."""
        if not self.complete:
            return "no complete window yet"
        return f"{self.right / self.complete:.1%} of {self.complete:,} complete windows"
