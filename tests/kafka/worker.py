"""A user's program as a test describes it: `python worker.py CONFIG.json` runs one app and reports to a file.

Models return the `seq` of each event of a window, in order: what they saw is what the output topic shows.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from millstream import App, EventBatch, HoppingWindow, Topic, WindowBatch

Predict = Callable[[WindowBatch], dict[str, list[Any]]]


@dataclass(frozen=True)
class ReturningSeqs:
    """A model that takes `delay` seconds a call.

    It raises on windows whose first seq is a multiple of `poison`, and never returns from one that
    holds `hang`; 0 is none. An object of a class and no function, so that a process can be given it.
    """

    delay: float
    poison: int = 0
    hang: int = 0

    def __call__(self, batch: WindowBatch) -> dict[str, list[Any]]:
        """Predict."""
        time.sleep(self.delay)
        seqs = [int(seq) for seq in batch["seq"]]
        rows = [seqs[a:b] for a, b in pairwise(batch.row_splits.tolist())]
        if self.hang and self.hang in seqs:
            threading.Event().wait()
        for row in rows:
            if self.poison and row[0] % self.poison == 0:
                raise ValueError(row[0])
        return {"seqs": rows, "seq": [row[0] for row in rows]}


def scoring_seqs(delay: float, poison: int = 0) -> Callable[[EventBatch], dict[str, Any]]:
    """A model of single events that takes `delay` seconds a call and raises on multiples of `poison`."""

    def predict(batch: EventBatch) -> dict[str, Any]:
        time.sleep(delay)
        seqs = batch["seq"].astype(int)
        if poison and not (seqs % poison).all():
            raise ValueError(seqs[seqs % poison == 0][0])
        return {"seq": seqs, "place": batch.offsets}

    return predict


def add_model(app: App, topics: dict[str, Topic], spec: dict[str, Any], predict: Predict) -> None:
    """Register a model."""
    window = HoppingWindow(**spec.pop("window"))
    app.model(source=topics[spec.pop("source")], window=window, **spec)(predict)


class Report:
    """The newest metrics, and how the run ended, in a file that is replaced as a whole."""

    def __init__(self, path: Path, app: App) -> None:
        """Nothing is written before the first call."""
        self.path, self.app = path, app
        self.lock = threading.Lock()
        self.done = threading.Event()

    def write(self, **ending: Any) -> None:
        """Replace the file."""
        with self.lock:
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps({"metrics": self.app.metrics(), **ending}))
            os.replace(part, self.path)

    def keep(self) -> None:
        """Write ten times a second until the run ends."""
        while not self.done.wait(0.1):
            self.write()


def run(path: Path, config: dict[str, Any], predict: Predict) -> None:
    """Build the app that the configuration describes and run it."""
    # A hang ends with the stacks of all threads in the log, even when the test that waits for it is gone.
    faulthandler.dump_traceback_later(config["seconds"], exit=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    report = None
    try:
        app = App(**config["app"])
        topics = {spec["name"]: Topic(**spec) for spec in config["topics"]}
        for spec in config["models"]:
            add_model(app, topics, spec, predict)
        for spec in config.get("scorers", ()):
            source = topics[spec.pop("source")]
            app.batch(source, **spec)(scoring_seqs(config["delay"], config["poison"]))
        report = Report(path.with_suffix(".report"), app)
        keeper = threading.Thread(target=report.keep, name="report", daemon=True)
        keeper.start()
        try:
            app.run(**config["run"])
        finally:
            report.done.set()
            keeper.join()
        report.write(finished=True)
    except BaseException as error:  # a panic of the extension is not an Exception
        kinds = [kind.__name__ for kind in type(error).__mro__]
        ending = {"error": {"kinds": kinds, "text": str(error)}}
        path.with_suffix(".report").write_text(json.dumps(ending))
        raise


def main() -> None:
    """Read the configuration and run it."""
    path = Path(sys.argv[1])
    config = json.loads(path.read_text())
    run(path, config, ReturningSeqs(config["delay"], config["poison"], config["hang"]))


if __name__ == "__main__":
    main()
