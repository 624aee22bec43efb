"""Runs a program for a limited time, and watches what it and its children use of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds of CPU
LOOK = 0.1  # seconds between two looks
START = 10.0  # seconds in which a program may be idle
IDLE = 4.0  # seconds of idleness after which it has nothing more to do
LITTLE = 0.2  # processors: less is idle
STOP = 10.0  # seconds to stop in


class Use(NamedTuple):
    """What a session of processes had used by an instant."""

    time: float  # since the epoch
    cpu: float  # seconds
    peak: float  # MiB, over the processes that are there


def use(session: int) -> Use:
    """Look at all processes of a session; what has been waited for counts with its parent."""
    cpu = peak = 0.0
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            int(process.name)
            # The second field is the name, in parentheses, and may hold spaces.
            fields = (process / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session:
                cpu += sum(map(int, fields[11:15])) * TICK
                status = (process / "status").read_text()
                peak += int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return Use(time.time(), cpu, peak)


class Watched(NamedTuple):
    """A program that has run."""

    looks: list[Use]
    output: list[str]  # lines
    errors: list[str]  # lines
    ended: bool  # by itself, and before it was told to

    def cpu_at(self, instant: float) -> float:
        """Seconds of CPU by an instant, between two looks in proportion."""
        after = min(max(bisect_left(self.looks, (instant,)), 1), len(self.looks) - 1)
        low, high = self.looks[after - 1], self.looks[after]
        part = min(max((instant - low.time) / (high.time - low.time), 0.0), 1.0)
        return low.cpu + part * (high.cpu - low.cpu)

    @property
    def peak(self) -> float:
        """MiB."""
        return max(look.peak for look in self.looks)


def watch(command: list[str], seconds: float, log: Path, environment: dict[str, str]) -> Watched:
    """Run until `seconds` are up or the program has nothing more to do, and end all of its processes."""
    output = log.with_suffix(".out")
    with log.open("wb") as errors, output.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=errors, start_new_session=True, env={**os.environ, **environment}
        )
        try:
            looks = _look_on(process, seconds)
            ended = process.poll() is not None
        finally:
            _end(process)
    lines, failures = (file.read_text(errors="replace").splitlines() for file in (output, log))
    return Watched(looks, lines, failures, ended)


def _look_on(process: subprocess.Popen[bytes], seconds: float) -> list[Use]:
    began = time.time()
    looks = [use(process.pid)]
    while process.poll() is None and time.time() - began < seconds:
        time.sleep(LOOK)
        looks.append(use(process.pid))
        before = looks[max(bisect_left(looks, (looks[-1].time - IDLE,)) - 1, 0)]
        if looks[-1].time - began > START and looks[-1].cpu - before.cpu < LITTLE * IDLE:
            break
    return looks


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP)
