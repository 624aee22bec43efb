"""Broken rules that only a broker can show: each must be seen by one of the checks, or the suite is blind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka.oracle import Model

from .plan import Fault
from .seed import Outcome, Run
from .shape import LATE, SESSION, Shape, kafka

ATTEMPTS = 3  # faults strike at chance moments: a mutant has that many runs to be seen
TAKEOVER = SESSION + 2.5
HELD = 8.0  # less than a transaction may last
EXPIRED = 13.0  # more than that


@dataclass(frozen=True)
class Mutant:
    """A broken rule, the faults that provoke it, and the checks that may see it."""

    name: str
    checks: tuple[str, ...]
    plan: tuple[Fault, ...]
    static: bool = False
    armed: tuple[str, ...] = ()

    def run(self, directory: Path, attempt: int, *, broken: bool = True) -> Outcome:
        """The faults against workers that break the rule, or against whole ones."""
        options = {**LATE, "max_batch": 64}
        shape = Shape(
            static=self.static,
            workers=2,
            models=(Model("overlapping", 10_000, 1_000, grace=3_000, options=options),),
            settings={"epoch": "50ms", "kafka": kafka()},
        )
        name = self.name if broken else ""
        run = Run(
            seed=1000 + attempt,
            shape=shape,
            plan=list(self.plan),
            directory=directory / f"{self.name}-{'broken' if broken else 'whole'}",
            mutant=name,
            armed=self.armed,
            recount=False,
            catch_up=40.0,
        )
        return run.outcome()


def faults(kind: str, *lengths: float, argument: str = "", gap: float = 4.0) -> tuple[Fault, ...]:
    """The same fault again and again."""
    return tuple(Fault(kind, gap, length, argument) for length in lengths)


AFTERWARDS = faults("stop", 0.5, gap=26.0)  # the load goes on for a while

MUTANTS = [
    Mutant("offsets_unstable", ("exactly once", "offsets forward"), faults("late_commit", HELD, HELD)),
    Mutant(
        "commit_before_produce",
        ("nothing lost",),
        faults("crash", 0, 0, argument="before_produce:3"),
        armed=("crash:before_produce:9",),
    ),
    Mutant("skip_offsets", ("exactly once", "liveness"), faults("kill", 0, 0)),
    Mutant("ignore_fencing", ("fencing",), faults("zombie", TAKEOVER, argument="succeeded"), static=True),
    Mutant("reuse_producer", ("trace", "liveness"), faults("late_commit", EXPIRED) + AFTERWARDS),
    Mutant("stay_paused", ("liveness",), faults("stop", 1)),
    Mutant("swallow_panic", ("ends", "liveness"), faults("stop", 1), armed=("panic:after_poll:20",)),
]


def judged(mutant: Mutant, directory: Path) -> dict[str, Any]:
    """Which check saw a mutant, and whether whole workers pass the same faults."""
    whole = mutant.run(directory, 0, broken=False)
    killed: list[str] = []
    attempt = 0
    while not killed and attempt < ATTEMPTS:
        attempt += 1
        failed = mutant.run(directory, attempt).failed
        killed = [check for check in mutant.checks if check in failed]
    return {
        "mutant": mutant.name,
        "killed_by": killed[0] if killed else None,
        "runs": attempt,
        "whole": dict(whole.failed),
    }
