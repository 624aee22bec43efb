"""The parts of the suite: each leaves its figures in a file, so that a run that was broken off goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from . import rates, recovery
from .fleet import ROOT, saved
from .mutants import MUTANTS, judged
from .plan import plan_of
from .seed import Run
from .shape import shape_of

BUILD = ROOT / "build" / "torture"
FAULTS = 56  # of a seed's plan; what crashes and storms add counts, too
CORE = "cargo test --quiet --no-default-features --features fault --test mutants every_mutant -- --nocapture"
KILLED = re.compile(r"mutant (\w+): (killed by|SURVIVED) (.*)")


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an earlier run left, or what this one makes."""
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        say(f"{path.stem}: kept from an earlier run")
        return found
    made = make()
    saved(path, made)
    return made


def seeds(numbers: list[int], faults: int = FAULTS, rate: float = 300.0) -> Iterator[dict[str, Any]]:
    """Each seed's outcome."""
    for number in numbers:
        path = BUILD / f"seed-{number}.json"
        yield kept(path, partial(seed, number, faults, rate))


def seed(number: int, faults: int, rate: float) -> dict[str, Any]:
    """Run one seed; its workers' logs stay where it failed."""
    shape = shape_of(number)
    plan = plan_of(number, faults, transactions=shape.guarantee == "exactly_once")
    say(f"seed {number}: {shape.told}")
    say(f"seed {number}: {' '.join(fault.told for fault in plan)}")
    outcome = Run(number, shape, plan, BUILD / f"seed-{number}", rate=rate).outcome()
    tally = outcome.tally
    say(
        f"seed {number}: {outcome.faults.total()} faults, {tally.windows:,} windows, {tally.lost} lost, "
        f"{tally.duplicated} duplicated, {tally.wrong} wrong, {tally.hidden:,} hidden, {outcome.seconds} s"
    )
    for check, text in outcome.failed.items():
        say(f"seed {number}: FAILED {check}: {text}")
    return outcome.as_dict()


def broker_mutants() -> Iterator[dict[str, Any]]:
    """Each mutant that needs a broker, and the check that saw it."""
    for mutant in MUTANTS:
        path = BUILD / f"mutant-{mutant.name}.json"
        found = kept(path, partial(judged, mutant, BUILD / "mutants"))
        say(f"mutant {mutant.name}: killed by {found['killed_by'] or 'nothing'}")
        yield found


def core_mutants() -> list[dict[str, Any]]:
    """What the properties of the core say of theirs."""
    done = subprocess.run(CORE.split(), cwd=ROOT, capture_output=True, text=True)
    found = KILLED.findall(done.stdout)
    if not found:
        raise RuntimeError(f"the mutants of the core did not run:\n{done.stderr[-2000:]}")
    return [
        {"mutant": name, "killed_by": test.split("::")[-1] if how != "SURVIVED" else None}
        for name, how, test in found
    ]


FIGURES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "recovery": recovery.recovery,
    "outage": recovery.outage,
    "replay": rates.replay,
    "throughput": rates.throughput,
}


def figures() -> dict[str, Any]:
    """Each measurement."""
    found = {}
    for name, measure in FIGURES.items():
        directory = BUILD / name
        directory.mkdir(parents=True, exist_ok=True)
        found[name] = kept(BUILD / f"{name}.json", partial(measure, directory))
        say(f"{name}: {json.dumps(found[name])}")
    return found


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {"cores": os.cpu_count(), "python": sys.version.split()[0], "commit": commit.stdout.strip()}
