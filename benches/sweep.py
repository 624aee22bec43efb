"""`make bench-sweep`: what the cost of an event depends on, one thing at a time.

Every line is a run of HopList with one thing changed; where that changes what is read or written, too, the
bare drain, the decode or the copy job on the same topic stands beside it. Prints a table, and writes the
figures to a file.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import table
from lanes import NotTogetherError
from native import NATIVE, ROOT, Bench, broker, write
from workload import Entry, Load

HEAD = ("swept", "value", "job", "events/s", "CPU us/event", "to the first", "MiB", "bytes/event", "windows")
STANDARD = Load(events=2_000_000)
OWN = "millstream"
ATTEMPTS = 3
MANY = 1 << 40  # more events than any window has: every window is skipped when it closes


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    sweep: str
    value: str
    entry: Entry


def lines() -> Iterator[Line]:
    """All sweeps."""
    long = Load(events=8_000_000)  # the longest window is full in the second half
    for size in (1, 10, 60, 360):
        yield Line("size/hop", str(size), Entry(OWN, size, load=long))
    for keys in (100, 1_000, 10_000):
        load = replace(STANDARD, keys=keys)
        yield from beside(Line("keys, hop 1 s", f"{keys:,}", Entry(OWN, load=load)), "copy")
    for keys in (100, 1_000, 10_000, 100_000, 1_000_000):
        load = Load(events=3_000_000, keys=keys)
        # One event of each key in a window, however many keys: as many windows and results per event.
        entry = Entry(OWN, load.pace, load.pace, load=load)
        yield from beside(Line("keys, a window per event", f"{keys:,}", entry), "copy")
        yield Line("keys, windows skipped", f"{keys:,}", replace(entry, min_events=MANY))
    for fields in (1, 6, 32):
        line = Line("fields", str(fields), Entry(OWN, load=replace(STANDARD, fields=fields)))
        yield from beside(line, "decode")
    for unused in (0, 10, 100):
        line = Line("unused fields", str(unused), Entry(OWN, load=replace(STANDARD, unused=unused)))
        yield from beside(line, "decode")
    for disorder in (0, 10, 50):
        entry = Entry(OWN, load=replace(STANDARD, disorder=disorder))
        yield Line("events out of order, %", str(disorder), entry)
    for compression in ("none", "lz4", "zstd"):
        line = Line("compression", compression, Entry(OWN, load=replace(STANDARD, compression=compression)))
        yield from beside(line, "drain")
    yield Line("guarantee", "at least once", Entry(OWN, guarantee="at_least_once", load=STANDARD))
    yield Line("guarantee", "exactly once", Entry(OWN, load=STANDARD))
    for value, lanes, processes in (("1", 1, 1), ("2, one process", 2, 1), ("2, a process each", 1, 2)):
        entry = Entry(OWN, lanes=lanes, processes=processes, load=replace(long, events=16_000_000))
        yield Line("lanes", value, entry)
    for models in (1, 2, 4):
        yield from beside(Line("models", str(models), Entry(OWN, models=models, load=STANDARD)), "decode")


def beside(line: Line, job: str) -> Iterator[Line]:
    """The line, and after it the same load under a job without windows."""
    yield line
    yield replace(line, entry=replace(line.entry, job=job, models=1, min_events=1))


def measure(bench: Bench, wanted: list[Line], runs: int) -> Iterator[dict[str, Any]]:
    """One dict per line, of the middle of its runs. An entry that is in two sweeps is measured for each."""
    for number, line in enumerate(wanted):
        measured = [attempted(bench, line.entry, number * runs + run) for run in range(runs)]
        own: dict[str, Any] = {"sweep": line.sweep, "value": line.value, "job": line.entry.job}
        for name in ("events_per_s", "cpu_us_per_event", "peak_mib"):
            own[name] = table.middle(measured, name)
        own["bytes_per_event"] = bench.loads[line.entry.load]["bytes_per_event"]
        if checks := [run["check"] for run in measured if "check" in run]:
            own["check"] = {name: max(check[name] for check in checks) for name in checks[0]}
        yield own


def attempted(bench: Bench, entry: Entry, run: int) -> dict[str, Any]:
    """A run; another one where its processes were not at work at the same time."""
    for attempt in range(ATTEMPTS):
        with suppress(NotTogetherError):
            return bench.measure(entry, run + attempt * 10_000)
    sys.exit(f"{entry.name}: its processes were never at work at the same time")


def of(figures: list[dict[str, Any]], sweep: str, value: str, job: str = OWN) -> float:
    """The CPU per event of a line."""
    for line in figures:
        if (line["sweep"], line["value"], line["job"]) == (sweep, value, job):
            return float(line["cpu_us_per_event"])
    return float("nan")


def goals(figures: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What a goal is set for: its name, the figure and the goal."""
    keys = "keys, a window per event"
    skipped = "keys, windows skipped"
    per_byte = {
        line["value"]: line["bytes_per_event"] for line in figures if line["sweep"] == "unused fields"
    }
    wide = of(figures, "unused fields", "100") / per_byte.get("100", 1)
    narrow = of(figures, "unused fields", "0") / per_byte.get("0", 1)
    first, second = (of(figures, "models", value) for value in ("1", "2"))
    beyond = first - of(figures, "models", "1", "decode")
    rates = {line["value"]: line["events_per_s"] for line in figures if line["sweep"] == "guarantee"}
    once = rates.get("exactly once", float("nan")) / rates.get("at least once", 1)
    rows = [
        (
            "10,000 keys to 1,000, a window per event",
            of(figures, keys, "10,000") / of(figures, keys, "1,000"),
            "<= 1.5",
        ),
        (
            "10,000 keys to 1,000, windows skipped",
            of(figures, skipped, "10,000") / of(figures, skipped, "1,000"),
            "<= 1.5",
        ),
        (
            "1,000,000 keys to 1,000, a window per event",
            of(figures, keys, "1,000,000") / of(figures, keys, "1,000"),
            "<= 4",
        ),
        (
            "1,000,000 keys to 1,000, windows skipped",
            of(figures, skipped, "1,000,000") / of(figures, skipped, "1,000"),
            "<= 4",
        ),
        ("100 unused fields, CPU per byte", wide / narrow, "<= 1.2"),
        ("second model to the first, beyond decode", (second - first) / beyond, "< 0.6"),
        ("exactly once to at least once, events/s", once, ">= 0.9"),
    ]
    return [(name, f"{figure:.2f}", goal) for name, figure, goal in rows if figure == figure]


def render(figures: list[dict[str, Any]]) -> str:
    """The table as text."""
    first: dict[tuple[str, str], float] = {}
    rows = [HEAD]
    for line in figures:
        base = first.setdefault((line["sweep"], line["job"]), line["cpu_us_per_event"])
        rows.append(
            (
                line["sweep"],
                line["value"],
                line["job"],
                f"{line['events_per_s']:,.0f}",
                f"{line['cpu_us_per_event']:.2f}",
                f"{line['cpu_us_per_event'] / base:.2f}",
                f"{line['peak_mib']:,.0f}",
                f"{line['bytes_per_event']:,.0f}",
                table.windows(line.get("check")),
            )
        )
    return table.columns(rows)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--native", default=NATIVE, help="the native half")
    add("--brokers", help="a broker that is there (default: one is started)")
    add("--runs", type=int, default=1, help="runs of each line (default: 1)")
    add("--only", default="", help="sweeps whose name contains this")
    add("--out", type=Path, default=ROOT / "build" / "bench-sweep.json", help="where the figures go")
    options = parser.parse_args()
    began = time.monotonic()
    wanted = [line for line in lines() if options.only in line.sweep]
    with broker(options.brokers) as brokers:
        figures = []
        for line in measure(Bench(brokers, options.native), wanted, options.runs):
            figures.append(line)
            write(options.out, {"lines": figures, "goals": goals(figures)})
    reached = goals(figures)
    print(render(figures))
    print(f"\n{table.columns([('CPU per event, unless said', 'figure', 'goal'), *reached])}")
    print(f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores; figures in {options.out}")
    checks = [line["check"] for line in figures if "check" in line]
    return int(any(check[name] for check in checks for name in table.FAULTS))


if __name__ == "__main__":
    sys.exit(main())
