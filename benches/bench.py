"""`make bench`: HopList on real Apache Kafka, beside the copy job and the bare drain, in one run.

Prints one table and writes the figures to a file. Every entry runs in a process of its own, one after the
other and in turn, and every window of Millstream's output is read back and checked. Exits with 1 if one is
missing, repeated or wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hoplist
import table
from workload import ENTRIES, KEYS, Entry, spec

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
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


def measure(native: str, entry: Entry, what: dict[str, Any]) -> dict[str, Any]:
    """Run an entry once, and check what Millstream wrote."""
    python = [sys.executable, str(HERE / "hoplist.py")]
    measured = call(python if entry.job == "millstream" else [native, entry.job], what)
    if entry.job == "millstream":
        measured["check"] = call([native, "check"], what)
    print(f"  {what['name']}: {measured['events_per_s']:,.0f} events/s", file=sys.stderr)
    return measured


def run(options: argparse.Namespace) -> table.Runs:
    """Load the topic, then run all entries in turn, as often as asked."""
    events = options.events // KEYS * KEYS
    runs: table.Runs = {entry: [] for entry in ENTRIES if options.only in entry.name}
    with broker(options.brokers) as brokers:
        loaded = call([options.native, "load"], spec(ENTRIES[0], brokers, events, 0))
        print(f"  loaded {events:,} events in {loaded['seconds']:.1f} s", file=sys.stderr)
        for number in range(options.runs):
            for entry, measured in runs.items():
                measured.append(measure(options.native, entry, spec(entry, brokers, events, number)))
    return runs


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--native", default=str(ROOT / "target/release/examples/hoplist"), help="the native half")
    add("--brokers", help="a broker that is there (default: one is started)")
    add("--events", type=int, default=4_000_000, help="events in the topic (default: 4 million)")
    add("--runs", type=int, default=3, help="runs of each entry (default: 3)")
    add("--only", default="", help="entries whose name contains this")
    add("--out", type=Path, default=ROOT / "build" / "bench.json", help="where the figures go")
    options = parser.parse_args()
    began = time.monotonic()
    runs = run(options)
    entries = table.summary(runs)
    machine = {"cores": os.cpu_count(), "machine": platform.platform(), "python": platform.python_version()}
    figures = {"machine": machine, "events": options.events, "entries": entries, "runs": list(runs.values())}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(table.render(entries))
    print(f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores; figures in {options.out}")
    checks = [entry["check"] for entry in entries if "check" in entry]
    return int(any(check[name] for check in checks for name in ("missing", "repeated", "wrong")))


if __name__ == "__main__":
    sys.exit(main())
