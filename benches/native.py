"""What all benchmarks share: a broker, the native half, and a run of one entry with its windows checked."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hoplist
import lanes
import peer_run
from peer import PEERS
from workload import Entry, Load, spec

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NATIVE = str(ROOT / "target/release/examples/hoplist")
SECONDS = 120.0  # the longest that one entry may take


@contextmanager
def broker(address: str | None) -> Iterator[str]:
    """A broker of our own for as long as the benchmark runs, or the one at `address`."""
    if address is not None:
        yield address
        return
    command = [sys.executable, str(ROOT / "tests" / "kafka" / "broker.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        # It ends when its standard input closes, which leaving the block does.
        assert process.stdout
        started = process.stdout.readline().strip()
        if not started:
            sys.exit("the broker did not start")
        yield started


def call(command: list[str], what: dict[str, Any]) -> dict[str, Any]:
    """Run a program on a specification, with the plan of the app; returns what it reports."""
    what = {**what, "plan": hoplist.make(what)._plan()}
    done = subprocess.run([*command, json.dumps(what)], stdout=subprocess.PIPE, text=True, timeout=SECONDS)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed on {what['name']}")
    return dict(json.loads(done.stdout))


@dataclass
class Bench:
    """A broker with topics on it, and the programs that run there."""

    brokers: str
    native: str = NATIVE
    peer_seconds: float = 50.0
    loads: dict[Load, dict[str, Any]] = field(default_factory=dict)

    def load(self, load: Load) -> None:
        """Fill the topic of a load, unless it is there."""
        if load not in self.loads:
            what = spec(Entry("load", load=load), self.brokers, 0)
            loaded = call([self.native, "load"], what)
            self.loads[load] = loaded
            print(f"  loaded {loaded['events']:,} events in {loaded['seconds']:.1f} s", file=sys.stderr)

    def measure(self, entry: Entry, run: int = 0) -> dict[str, Any]:
        """Run an entry once, and check what windows it wrote."""
        self.load(entry.load)
        what = spec(entry, self.brokers, run)
        if peer := PEERS.get(entry.job):
            measured = peer_run.measure(
                peer, what, self.peer_seconds, lambda command, what: call([self.native, command], what)
            )
        else:
            python = [sys.executable, str(HERE / "hoplist.py")]
            if entry.processes > 1:
                measured = lanes.run(python, what, SECONDS)
            else:
                measured = call(python if entry.job == "millstream" else [self.native, entry.job], what)
            if entry.checked:
                measured["check"] = call([self.native, "check"], what)
        print(f"  {entry.title}: {measured['events_per_s']:,.0f} events/s", file=sys.stderr)
        return measured


def write(path: Path, figures: dict[str, Any]) -> None:
    """Write figures to a file, and where they were taken."""
    machine = {"cores": os.cpu_count(), "machine": platform.platform(), "python": platform.python_version()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n")
