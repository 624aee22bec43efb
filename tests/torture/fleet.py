"""The members of the group: slots in which one worker process follows another."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka.job import Job
from kafka.runner import Worker

from .shape import SESSION, Shape

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "worker.py"
ROOT = HERE.parents[1]
FAULT_BUILD = ROOT / "build" / "fault"
NAP = 5.0  # seconds that a model sleeps when it is told to
ARMED = 12.0  # seconds in which one that is to end itself is left to do so
LONGEST = 900.0  # a worker ends itself after that


@dataclass
class Ended:
    """How a worker ended."""

    name: str
    code: int
    error: str  # the kind and the message, where it ended by an exception
    crash: str  # the crash point, where it ended at one
    log: str

    @property
    def told(self) -> str:
        """In a line."""
        return f"{self.name} ended with code {self.code}: {self.error or self.crash or 'no error'}"


class Member:
    """One worker process."""

    def __init__(self, name: str, worker: Worker, fault: str) -> None:
        """`fault` is what it was told to do to itself."""
        self.name, self.worker, self.fault = name, worker, fault
        self.stopped_at = 0.0  # when SIGSTOP was sent; 0 while it runs
        self.excused: list[str] = []  # texts of errors that a fault makes legitimate
        self.ending = False  # it was told to end
        self.left_alone = time.monotonic() + (ARMED if fault else 0.0)

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to it."""
        self.worker.send(signum)

    def ended(self) -> Ended:
        """How it ended, once it has."""
        report, log = self.worker.report, self.worker.log
        error = report.get("error")
        text = f"{error['kinds'][0]}: {error['text']}" if error else ""
        crash = [line for line in log.splitlines() if line.startswith("crash point ")]
        code = self.worker.process.returncode
        assert code is not None
        return Ended(self.name, code, text, crash[-1].split()[-1] if crash and code == -6 else "", log)


class Fleet:
    """Starts members, knows which run in which slot, and ends them all."""

    def __init__(
        self, job: Job, shape: Shape, directory: Path, *, plain: bool = False, mutant: str = ""
    ) -> None:
        """Configurations, reports and logs go to `directory`.

        With `plain` the members run what users run, else the build in which they can do things to
        themselves; a mutant is one in every member.
        """
        self.job, self.shape, self.directory = job, shape, directory
        self.plain, self.mutant = plain, mutant
        self.slots: dict[int, Member] = {}
        self.started: list[Member] = []
        directory.mkdir(parents=True, exist_ok=True)

    def start(self, slot: int, fault: str = "", **run: Any) -> Member:
        """Start a member in a slot, whose last one has ended or is left to itself."""
        name = f"{slot}-{len(self.started)}"
        config = self.job.config(run)
        config["app"]["kafka"]["client.id"] = name
        more = {"name": name, "session": SESSION, "nap": NAP, "seconds": LONGEST}
        if self.shape.static:
            config["app"]["kafka"]["group.instance.id"] = f"slot-{slot}"
        worker = Worker({**config, **more}, self.directory / f"worker-{name}.json", PROGRAM, self.env(fault))
        member = Member(name, worker, fault)
        self.slots[slot] = member
        self.started.append(member)
        return member

    def env(self, fault: str) -> dict[str, str]:
        """The environment of a member."""
        path = [str(ROOT / "tests")]
        if not self.plain:
            path.insert(0, str(FAULT_BUILD))
        faults = ",".join(filter(None, [self.mutant and f"mutant:{self.mutant}", fault]))
        return {"PYTHONPATH": os.pathsep.join(path), "MILLSTREAM_FAULT": faults}

    @property
    def sinks(self) -> list[str]:
        """The topics of results."""
        return [self.job.sink(model) for model in self.job.models]

    def slot(self, member: Member) -> int:
        """The slot that a member was started in."""
        return int(member.name.split("-")[0])

    def free(self, random: random.Random) -> Member | None:
        """A member that runs, is not stopped, and not about to end of itself or otherwise."""
        now = time.monotonic()
        members = [
            m
            for m in self.slots.values()
            if m.worker.running and not m.stopped_at and not m.ending and now > m.left_alone
        ]
        return random.choice(members) if members else None

    def end(self) -> None:
        """Kill those that still run."""
        for member in self.started:
            if member.worker.running:
                member.worker.kill()


def tail(log: str, lines: int = 12) -> str:
    """The end of a log."""
    return "\n".join(log.splitlines()[-lines:])


def saved(path: Path, data: Any) -> None:
    """Replace a JSON file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1))
    os.replace(part, path)
