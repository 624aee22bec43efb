"""Workers: user programs in processes of their own, with a log, a report, a time limit and a certain end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
SECONDS = 150.0  # the longest that a test waits for anything
LIFETIME = 300.0  # a worker ends itself after that, whatever became of its test


class WorkerError(AssertionError):
    """A worker did something else than its test expected; the message ends with its log."""


class Worker:
    """A running `worker.py`, or another `program` of its kind."""

    def __init__(
        self,
        config: dict[str, Any],
        path: Path,
        program: Path = WORKER,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; the configuration, the report and the log go beside each other."""
        path.write_text(json.dumps({"seconds": LIFETIME, "delay": 0.0, "poison": 0, "hang": 0, **config}))
        self._log = path.with_suffix(".log")
        self._report = path.with_suffix(".report")
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C on the tests is not Ctrl-C on the worker.
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", str(program), str(path)],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    @property
    def report(self) -> dict[str, Any]:
        """Its newest report; empty before the first."""
        return json.loads(self._report.read_text()) if self._report.exists() else {}

    @property
    def written(self) -> int:
        """When its newest report was written, in ns; 0 before the first."""
        return self._report.stat().st_mtime_ns if self._report.exists() else 0

    @property
    def metrics(self) -> dict[str, Any]:
        """Its newest metrics; empty before the first."""
        return self.report.get("metrics") or {}

    def until(self, condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Wait for something that must come true while the worker runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.running:
                raise self.failed(f"ended with code {self.process.returncode} before {what}")
            if time.monotonic() > deadline:
                raise self.failed(f"did not come to this: {what}")
            time.sleep(0.05)

    def finish(self) -> dict[str, Any]:
        """Wait for a clean end; returns the final metrics."""
        if (code := self._wait()) != 0 or not self.report.get("finished"):
            raise self.failed(f"ended with code {code} and not cleanly")
        return self.metrics

    def fail(self, kind: str = "MillstreamError") -> str:
        """Wait for an end by an error of this kind; returns its message."""
        code = self._wait()
        error = self.report.get("error", {"kinds": []})
        if code == 0 or kind not in error["kinds"]:
            raise self.failed(f"ended with code {code} and not with {kind}")
        return str(error["text"])

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to this process, and to no other."""
        self.process.send_signal(signum)

    def kill(self) -> None:
        """End it without notice."""
        self.process.kill()
        self.process.wait()

    def kill_amid(self, work: Callable[[], bool], more: Callable[[], object]) -> None:
        """End it without notice while there is work; while there is none it goes on and gets more."""
        self.send(signal.SIGSTOP)
        while not work():
            self.send(signal.SIGCONT)
            more()
            self.send(signal.SIGSTOP)
        self.kill()

    def failed(self, how: str) -> WorkerError:
        """What to raise."""
        return WorkerError(f"worker {how}\n{self.log[-4000:]}")

    def _wait(self) -> int:
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGABRT)  # faulthandler writes the stacks
            self.process.wait()
            raise self.failed("did not end") from None


class Workers:
    """Starts workers and sees to it that none outlives its test."""

    def __init__(self, directory: Path) -> None:
        """Their files go to `directory`."""
        self._directory = directory
        self._numbers = count(1)
        self._started: list[Worker] = []

    def start(self, config: dict[str, Any]) -> Worker:
        """Start one."""
        worker = Worker(config, self._directory / f"worker-{next(self._numbers)}.json")
        self._started.append(worker)
        return worker

    def end(self) -> None:
        """Kill those that still run."""
        for worker in self._started:
            if worker.running:
                worker.kill()
