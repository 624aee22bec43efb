"""`scripts/torture`: runs the parts of the suite that are asked for, and writes and prints their figures."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from . import report, suite
from .fleet import FAULT_BUILD, saved

PARTS = ("seeds", "mutants", "figures")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, default=20, help="how many (default: 20)")
    add("--first", type=int, default=0, help="the first of them (default: 0)")
    add("--faults", type=int, default=suite.FAULTS, help=f"planned in each seed (default: {suite.FAULTS})")
    add("--rate", type=float, default=300.0, help="events per second (default: 300)")
    add("--part", choices=PARTS, action="append", help="what to run (default: everything)")
    add("--fresh", action="store_true", help="begin anew instead of going on where a run was broken off")
    add("--out", type=Path, default=suite.BUILD.with_suffix(".json"), help="where the figures go")
    return parser.parse_args()


def main() -> int:
    """Run; the code is 1 where a check failed or a mutant survived."""
    options = arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers go away here all the time
    if not FAULT_BUILD.is_dir():
        sys.exit("there is no build with the feature fault: run scripts/fault-build")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else workers would outlive it
    machine = suite.machine()
    of = {"machine": machine, "faults": options.faults, "rate": options.rate}
    stamp = suite.BUILD / "of.json"
    if options.fresh or not stamp.exists() or json.loads(stamp.read_text()) != of:
        shutil.rmtree(suite.BUILD, ignore_errors=True)  # figures of other code are not gone on with
        saved(stamp, of)
    began = time.monotonic()
    parts = options.part or PARTS
    found: dict[str, Any] = {"command": " ".join(sys.argv[1:]), "machine": machine}
    if "seeds" in parts:
        numbers = list(range(options.first, options.first + options.seeds))
        found["outcomes"] = list(suite.seeds(numbers, options.faults, options.rate))
        found["seeds"] = report.summary(found["outcomes"])
    if "mutants" in parts:
        found["mutants"] = [*suite.core_mutants(), *suite.broker_mutants()]
    if "figures" in parts:
        found["figures"] = suite.figures()
    saved(options.out, found)
    print(f"\n{report.render(found)}\n\n{time.monotonic() - began:.0f} s; figures in {options.out}")
    reasons = report.failed(found)
    for reason in reasons:
        print(f"FAILED: {reason}")
    return int(bool(reasons))


if __name__ == "__main__":
    sys.exit(main())
