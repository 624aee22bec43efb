"""What differs from seed to seed: guarantee, membership, epochs, lanes, models."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from kafka.job import Guarantee
from kafka.oracle import Model

SESSION = 3.0  # seconds: short, so that what a dead member held is soon taken over
LATE = {"late": "topic", "timestamps": False}


@dataclass(frozen=True)
class Shape:
    """One configuration of the app."""

    guarantee: Guarantee = "exactly_once"
    static: bool = False
    workers: int = 3
    models: tuple[Model, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """In a line."""
        members = "static" if self.static else "dynamic"
        models = ", ".join(f"{m.name} {m.size}/{m.hop}+{m.grace}" for m in self.models)
        rest = {key: value for key, value in self.settings.items() if key != "kafka"}
        strategy = self.settings["kafka"].get("partition.assignment.strategy", "cooperative-sticky")
        return f"{self.guarantee}, {self.workers} {members} members, {strategy}, {rest}; {models}"


def shape_of(seed: int) -> Shape:
    """The configuration of a seed: every fifth is at least once, the rest exactly once."""
    draw = random.Random(f"shape {seed}")
    options = {**LATE, "max_batch": draw.choice([16, 64, 256]), "workers": draw.choice([1, 2])}
    models = (
        Model("overlapping", 10_000, 1_000, grace=3_000, options=options),
        Model(
            "uneven",
            4_000,
            3_000,
            grace=draw.choice([2_000, 6_000]),
            offset=500,
            min_events=2,
            options=options,
        ),
    )
    return Shape(
        guarantee="at_least_once" if seed % 5 == 4 else "exactly_once",
        static=seed % 3 == 2,
        workers=draw.choice([2, 3]),
        models=models,
        settings={
            "epoch": draw.choice(["20ms", "50ms", "200ms"]),
            "lanes": draw.choice([1, 1, 2]),
            "kafka": kafka(draw.choice(["cooperative-sticky", "range"])),
        },
    )


def kafka(strategy: str = "cooperative-sticky") -> dict[str, Any]:
    """Client settings that make members notice faults within seconds."""
    return {
        "session.timeout.ms": int(SESSION * 1000),
        "heartbeat.interval.ms": 500,
        "transaction.timeout.ms": 10_000,
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.max.ms": 1_000,
        "partition.assignment.strategy": strategy,
    }
