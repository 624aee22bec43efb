"""A worker whose results say whose they are: the process, and since when it lives without a long stop.

SIGUSR1 lets the next call of a model sleep.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from kafka import worker as plain

from millstream import WindowBatch

TICK = 0.2


class Life:
    """Begins anew whenever the process did not run for as long as a session lasts."""

    def __init__(self, session: float) -> None:
        """`session` in seconds."""
        self.session = session
        self.began = self.seen = time.monotonic()  # the clock of the machine: the suite reads the same
        self.lock = threading.Lock()
        threading.Thread(target=self.watch, name="life", daemon=True).start()

    def watch(self) -> None:
        """Look at the clock for ever."""
        while True:
            self.now()
            time.sleep(TICK)

    def now(self) -> float:
        """When the present life began."""
        with self.lock:
            now = time.monotonic()
            if now - self.seen > self.session:
                self.began = now
            self.seen = now
            return self.began


def returning_origin(config: dict[str, Any]) -> plain.Predict:
    """A model that returns what it saw and who it was when it was called."""
    life = Life(config["session"])
    seqs = plain.ReturningSeqs(config["delay"])
    nap = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: nap.set())

    def predict(batch: WindowBatch) -> dict[str, list[Any]]:
        began = life.now()
        if nap.is_set():
            nap.clear()
            time.sleep(config["nap"])
        return {**seqs(batch), "worker": [config["name"]] * len(batch), "life": [began] * len(batch)}

    return predict


if __name__ == "__main__":
    path = Path(sys.argv[1])
    config = json.loads(path.read_text())
    plain.run(path, config, returning_origin(config))
