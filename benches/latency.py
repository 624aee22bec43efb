"""`make bench-latency`: how soon after an event closes a window the result can be read, by rate and epoch.

An open loop: a generator produces each event when it is due, whether or not results come, and a
`read_committed` consumer notes when each result is there. First the rate is found that is sustained while
both run; then latencies at shares of it. Prints a table and writes the figures to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import table
from native import HERE, NATIVE, ROOT, broker, call, write
from workload import Entry, Load, spec

HEAD = ("epoch", "rate", "events/s", "clock", "p50", "p90", "p99", "p99.9", "max", "behind", "windows")
QUANTILES = ("p50", "p90", "p99", "p99.9", "max")
EPOCHS = ("10ms", "50ms", "100ms", "500ms", "auto")
SHARES = (0.25, 0.5, 0.75)  # of the rate that is sustained
# Events of a key, as in the other benchmarks: as many results for each event, whatever the rate.
PER_HOP, PER_WINDOW = 10, 100
WARM_UP = 6.0  # seconds
FLAT_OUT = 500_000  # events in a second of event time, where they are produced as fast as possible


@contextmanager
def app(what: dict[str, Any]) -> Iterator[None]:
    """HopList, running until the block ends."""
    command = [sys.executable, str(HERE / "hoplist.py"), json.dumps(what), "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            process.stdout.readline()  # it runs
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def measure(
    native: str, brokers: str, number: int, rate: int, epoch: str, pacing: dict[str, Any]
) -> dict[str, Any]:
    """Latencies at a rate, or, where it is not paced, what rate is sustained."""
    load = Load(per_second=rate)
    hop = round(PER_HOP * load.pace, 3)
    entry = Entry("millstream", hop * PER_WINDOW / PER_HOP, hop, load=load, epoch=epoch)
    what = spec(entry, brokers, number)
    what |= {"topic": f"{what['topic']}-{number}", "pacing": pacing}
    call([native, "source"], what)
    call([native, "sink"], what)
    with app(what):
        return call([native, "latency"], what)


def rows(figures: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Two rows for each run: since the closing event was due, and since it was appended."""
    for run in figures:
        for clock in ("due", "append"):
            since = run[f"since_{clock}_ms"]
            missing = run["expected"] - run["seen"]
            yield (
                run["epoch"],
                f"{run['share']:.0%}",
                f"{run['produced_per_s']:,.0f}",
                clock,
                *("-" if since[name] is None else f"{since[name]:.0f}" for name in QUANTILES),
                f"{run['behind_ms']:.0f}",
                f"{run['expected']:,}: {f'{missing:,} not in time' if missing else 'all in time'}",
            )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--native", default=NATIVE, help="the native half")
    add("--brokers", help="a broker that is there (default: one is started)")
    add("--seconds", type=float, default=15.0, help="seconds measured of each run (default: 15)")
    add("--rate", type=int, help="events a second that are sustained (default: measured)")
    add("--epochs", nargs="+", default=EPOCHS, help="of the app")
    add("--out", type=Path, default=ROOT / "build" / "bench-latency.json", help="where the figures go")
    options = parser.parse_args()
    began = time.monotonic()
    figures: list[dict[str, Any]] = []
    with broker(options.brokers) as brokers:
        sustained = options.rate
        if sustained is None:
            flat_out = {"paced": False, "seconds": WARM_UP + options.seconds, "warm_up": WARM_UP}
            found = measure(options.native, brokers, 0, FLAT_OUT, "100ms", flat_out)
            sustained = int(min(found["produced_per_s"], found["results_per_s"]))
            print(
                f"  produced {found['produced_per_s']:,.0f}, followed {found['results_per_s']:,.0f} a second",
                file=sys.stderr,
            )
        for epoch in options.epochs:
            for share in SHARES:
                rate = int(sustained * share)
                pacing = {"paced": True, "seconds": WARM_UP + options.seconds, "warm_up": WARM_UP}
                run = measure(options.native, brokers, len(figures) + 1, rate, epoch, pacing)
                figures.append({"epoch": epoch, "share": share, "rate": rate, **run})
                print(f"  epoch {epoch}, {rate:,} events/s: {run['since_append_ms']}", file=sys.stderr)
    write(options.out, {"sustained_per_s": sustained, "runs": figures})
    print(f"{sustained:,} events/s sustained with the generator and the reader running; latencies in ms\n")
    print(table.columns([HEAD, *rows(figures)]))
    print(f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores; figures in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
