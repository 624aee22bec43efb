"""The command line in a process of its own, on an app as a test describes it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .job import Job
from .runner import SECONDS

MODULE = """
import json
import multiprocessing
from pathlib import Path

from millstream import App, HoppingWindow, Topic

config = json.loads(Path(__file__).with_suffix(".json").read_text())
app = App(**config["app"])
topics = {spec["name"]: Topic(**spec) for spec in config["topics"]}
failing = set(config.get("failing", ()))


def called():
    with Path(__file__).with_suffix(".calls").open("a") as calls:
        print(multiprocessing.current_process().name, file=calls)


def predict(batch):
    called()
    for key in failing.intersection(batch.keys):
        raise ValueError(key)
    return batch.lengths


def score(batch):
    called()
    return {"seq": batch.values[:, 0].astype(int)}


for spec in config.get("scorers", ()):
    app.batch(topics[spec.pop("source")], **spec)(score)
for spec in config["models"]:
    window = HoppingWindow(**spec.pop("window"))
    app.model(source=topics[spec.pop("source")], window=window, **spec)(predict)
"""


@dataclass
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What a command printed with `--json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def findings(self) -> list[dict[str, str]]:
        """What `check --json` found."""
        return [json.loads(line) for line in self.out.splitlines()]

    def found(self, level: str, check: str | None = None) -> list[str]:
        """The texts of the findings of a level, and of a check."""
        findings = [finding for finding in self.findings if finding["level"] == level]
        return [finding["text"] for finding in findings if check in (None, finding["check"])]


class Commands:
    """Runs commands on apps."""

    def __init__(self, directory: Path) -> None:
        """Their modules go to `directory`."""
        self._directory = directory

    def callers(self) -> set[str]:
        """The names of the processes that models have been called in."""
        return set((self._directory / "pipeline.calls").read_text().split())

    def run(self, job: Job, command: str, *arguments: str, typed: str = "") -> Said:
        """Run a command on the app of a job."""
        return self.run_config(job.config({}), command, *arguments, typed=typed)

    def run_config(self, config: dict[str, Any], command: str, *arguments: str, typed: str = "") -> Said:
        """Run a command on an app as `worker.py` reads it."""
        (self._directory / "pipeline.py").write_text(MODULE)
        (self._directory / "pipeline.json").write_text(json.dumps(config))
        main = "from millstream.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", main, *command.split(), "pipeline:app", *arguments],
            cwd=self._directory,
            input=typed,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return Said(done.returncode, done.stdout, done.stderr)
