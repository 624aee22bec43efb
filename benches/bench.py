"""`make bench`: HopList on real Apache Kafka, beside the copy job, the bare drain and the peers, in one run.

Prints one table and writes the figures to a file. Every entry runs in a process of its own, one after the
other and in turn, and every window that it writes is read back and checked. Exits with 1 if one of
Millstream's is missing, repeated or wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import peer
import table
from native import NATIVE, ROOT, Bench, broker, write
from workload import ENTRIES, PEER_SIZES, Entry, Load


def rounds(options: argparse.Namespace) -> list[list[Entry]]:
    """What is measured, in order: each entry in every round, and the peers spread over the rounds.

    So a neighbour that takes the machine for a while takes it from both.
    """
    load = Load(events=options.events)
    there = peer.installed(peer.chosen(options.peers))
    peers = [peer_entry(one.name, size, load) for size in PEER_SIZES for one in there]
    own = [replace(entry, load=load) for entry in ENTRIES]
    turns = [[*own, *peers[number :: options.runs]] for number in range(options.runs)]
    return [[entry for entry in turn if options.only in entry.name] for turn in turns]


def peer_entry(name: str, size: float, load: Load) -> Entry:
    """The entry of a peer."""
    return Entry(name, size, guarantee="at_least_once", load=load)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--native", default=NATIVE, help="the native half")
    add("--brokers", help="a broker that is there (default: one is started)")
    add("--events", type=int, default=4_000_000, help="events in the topic (default: 4 million)")
    add("--runs", type=int, default=3, help="runs of each entry but the peers (default: 3)")
    add("--peers", default=os.environ.get("PEERS") or "all", help="names, all (default) or none")
    add(
        "--peer-seconds",
        type=float,
        default=40.0,
        help="the longest that a peer runs (default: 40, at most 60)",
    )
    add("--only", default="", help="entries whose name contains this")
    add("--out", type=Path, default=ROOT / "build" / "bench.json", help="where the figures go")
    options = parser.parse_args()
    began = time.monotonic()
    turns = rounds(options)
    runs: table.Runs = {entry: [] for turn in turns for entry in turn}
    with broker(options.brokers) as brokers:
        bench = Bench(brokers, options.native, min(options.peer_seconds, 60.0))
        for number, turn in enumerate(turns):
            for entry in turn:
                runs[entry].append(bench.measure(entry, number))
    figures = table.summary(runs)
    against = table.against_peers(figures)
    write(
        options.out,
        {"events": options.events, "entries": figures, "peers": against, "runs": [*runs.values()]},
    )
    print(table.render(figures))
    if against:
        print(f"\n{table.render_peers(against)}")
    print(f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores; figures in {options.out}")
    checks = [entry["check"] for entry in figures if "check" in entry and entry["job"] == "millstream"]
    return int(any(check[name] for check in checks for name in table.FAULTS))


if __name__ == "__main__":
    sys.exit(main())
