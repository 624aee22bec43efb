"""`make bench-status`: what the status page costs HopList, looked at and attacked, on real Apache Kafka.

Three runs in each round, in turn and in turned order: without a page; with one that is open, asked for a key
each second and scraped at 1 Hz; the same while 10,000 connections, slow, idle, hostile and oversized, are
opened in the course of the run. Costs are those of a round's runs, held against each other; the middle one
counts. Prints a table and writes the figures to a file. Exits with 1 if a window of an attacked run is
missing, repeated or wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import table
from native import HERE, NATIVE, ROOT, Bench, broker, call, write
from workload import Entry, Load, spec

WITHOUT, WATCHED, ATTACKED = "no page", "looked at", "looked at and attacked"
GOALS = {WATCHED: 0.02, ATTACKED: 0.05}
CONNECTIONS = 10_000
FEWEST = 5  # rounds that a figure is of
SHARE = "CPU of the visitor, of all there is"
HEAD = ("page", "events/s", "low..high", "cost", "goal", "CPU us/event", "cost in CPU", "windows")
Figures = dict[str, Any]


@contextmanager
def visitor(kind: str, told: dict[str, Any], met: dict[str, Figures]) -> Iterator[None]:
    """A visitor in a process of its own until the block ends; what it says goes to `met`."""
    command = [sys.executable, str(HERE / "visitors.py"), kind, json.dumps(told)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            said, _ = process.communicate()
        figures = json.loads(said)
        figures[SHARE] = figures.pop("cpu_s") / seconds / (os.cpu_count() or 1)
        met[kind] = figures


def measure(bench: Bench, page: str, run: int, load: Load, seconds: float) -> Figures:
    """One run; the attack is spread over so many seconds."""
    entry = Entry("millstream", load=load)
    what = spec(entry, bench.brokers, run)
    met: dict[str, Figures] = {}
    with ExitStack() as visitors:
        if page != WITHOUT:
            with socket.create_server(("127.0.0.1", 0)) as free:
                address = f"127.0.0.1:{free.getsockname()[1]}"
            what["web"] = address
            visitors.enter_context(visitor("look", {"address": address}, met))
        if page == ATTACKED:
            told = {"address": address, "count": CONNECTIONS, "rate": CONNECTIONS / seconds}
            visitors.enter_context(visitor("attack", told, met))
        measured = call([sys.executable, str(HERE / "hoplist.py")], what)
    if page != WITHOUT and not met["look"].get("scrapes"):
        sys.exit(f"the page was never scraped: {met}")
    if page == ATTACKED:
        measured["check"] = call([bench.native, "check"], what)
    print(f"  {page}: {measured['events_per_s']:,.0f} events/s {met or ''}", file=sys.stderr)
    return {**measured, "visitors": met}


def costs(rounds: list[dict[str, Figures]], page: str, name: str) -> float:
    """The middle of what a page costs, as a share of what there is without one."""
    ratios = [of[page][name] / of[WITHOUT][name] for of in rounds]
    ratio = float(statistics.median(ratios))
    return ratio - 1 if name == "cpu_us_per_event" else 1 - ratio


def summary(rounds: list[dict[str, Figures]]) -> Iterator[Figures]:
    """One dict for each way to run."""
    for page in (WITHOUT, WATCHED, ATTACKED):
        runs = [of[page] for of in rounds]
        rates = [run["events_per_s"] for run in runs]
        figures: Figures = {
            "page": page,
            "events_per_s": statistics.median(rates),
            "lowest": min(rates),
            "highest": max(rates),
            "cpu_us_per_event": table.middle(runs, "cpu_us_per_event"),
            "visitors": total([run["visitors"] for run in runs]),
        }
        if page in GOALS:
            figures["cost"] = costs(rounds, page, "events_per_s")
            figures["cost_in_cpu"] = costs(rounds, page, "cpu_us_per_event")
            figures["goal"] = GOALS[page]
        if checks := [run["check"] for run in runs if "check" in run]:
            figures["check"] = {name: max(check[name] for check in checks) for name in checks[0]}
        yield figures


def total(met: list[dict[str, Figures]]) -> dict[str, Figures]:
    """What visitors met in all runs: sums, but for shares, peaks and the like, of which the middle."""
    totals: dict[str, Figures] = {}
    for kind in {kind for one in met for kind in one}:
        names = {name for one in met for name in one[kind]}
        for name in sorted(names):
            values = [one[kind].get(name, 0) for one in met]
            middle = name in (SHARE, "open at a time")
            totals.setdefault(kind, {})[name] = statistics.median(values) if middle else sum(values)
    return totals


def rows(figures: list[Figures]) -> Iterator[tuple[str, ...]]:
    """A row for each way to run."""
    yield HEAD
    for entry in figures:
        low, high = (f"{entry[end] / 1e6:.2f}" for end in ("lowest", "highest"))
        yield (
            entry["page"],
            f"{entry['events_per_s']:,.0f}",
            f"{low}..{high}M",
            f"{entry['cost']:.1%}" if "cost" in entry else "",
            f"<= {entry['goal']:.0%}" if "goal" in entry else "",
            f"{entry['cpu_us_per_event']:.3f}",
            f"{entry['cost_in_cpu']:.1%}" if "cost_in_cpu" in entry else "",
            table.windows(entry.get("check")),
        )


def told(figures: list[Figures]) -> Iterator[str]:
    """What visitors met, in words."""
    for entry in figures:
        for kind, met in sorted(entry["visitors"].items()):
            said = (f"{name} {value:,}" for name, value in met.items() if name != SHARE)
            yield f"{entry['page']}, {kind}: {', '.join(said)}; {SHARE} {met[SHARE]:.1%}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--native", default=NATIVE, help="the native half")
    add("--brokers", help="a broker that is there (default: one is started)")
    add("--events", type=int, default=8_000_000, help="events in the topic (default: 8 million)")
    add("--rounds", type=int, default=7, help="rounds of three runs (default: 7)")
    add("--seconds", type=float, default=300.0, help="no round is begun after so long (default: 300)")
    add("--out", type=Path, default=ROOT / "build" / "bench-status.json", help="where the figures go")
    options = parser.parse_args()
    began = time.monotonic()
    load = Load(events=options.events)
    rounds: list[dict[str, Figures]] = []
    with broker(options.brokers) as brokers:
        bench = Bench(brokers, options.native)
        bench.load(load)
        # Not counted: it warms the broker up, and tells how long an attack has to be.
        first = measure(bench, WITHOUT, 0, load, 1.0)
        seconds = first["seconds"]
        while len(rounds) < options.rounds and time.monotonic() - began < options.seconds:
            order = [WITHOUT, WATCHED, ATTACKED][:: 1 if len(rounds) % 2 == 0 else -1]
            run = 1 + len(order) * len(rounds)
            of = {page: measure(bench, page, run + place, load, seconds) for place, page in enumerate(order)}
            rounds.append(of)
    figures = [*summary(rounds)]
    write(options.out, {"events": options.events, "pages": figures, "rounds": rounds})
    print(table.columns([*rows(figures)]))
    print("\n".join(["", *told(figures), ""]))
    print(f"the middle of {len(rounds)} rounds", end="")
    print(f", of {FEWEST} that it takes: too few" if len(rounds) < FEWEST else "", end="; ")
    print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores; figures in {options.out}")
    checks = [entry["check"] for entry in figures if "check" in entry]
    return int(any(check[name] for check in checks for name in table.FAULTS))


if __name__ == "__main__":
    sys.exit(main())
