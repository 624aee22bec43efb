"""What strikes, and when: drawn from a seed, known before the run, printed with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from .shape import SESSION

# How often each crash point is passed differs: the pass at which it strikes is drawn up to this.
CRASH_POINTS = {
    "after_poll": 100,
    "after_cut": 10,
    "before_produce": 8,
    "after_produce": 8,
    "before_offsets": 8,
    "after_offsets": 8,
    "before_commit": 8,
    "after_commit": 8,
    "in_restore": 2,
}
# kind -> weight, shortest and longest duration in seconds
KINDS: dict[str, tuple[float, float, float]] = {
    "kill": (6, 0, 0),
    "crash": (24, 0, 0),
    "panic": (1, 0, 0),
    "term": (3, 0, 0),
    "stop": (2, 0.5, SESSION * 0.6),
    "zombie": (3, SESSION + 1.5, SESSION + 3),
    "late_commit": (2, SESSION + 3, 13.5),
    "hold": (0.5, 12, 14),
    "slow_model": (2, 0, 0),
    "storm": (1, 6, 8),
    "broker_kill": (1, 0, 0),
    "broker_stop": (1, 1, 3.5),
    "delay": (2, 2, 4),
    "cut_request": (3, 0, 0),
    "cut_reply": (3, 0, 0),
    "swallow_commit": (3, 0, 0),
    "swallow_offsets": (3, 0, 0),
    "refuse_time": (0.5, 2, 3),
    "refuse_replicas": (1, 2, 4),
}
AT_A_POINT = ("crash", "panic")
TRANSACTIONAL = ("late_commit", "hold", "swallow_commit", "swallow_offsets")
ARGUMENTS = {"zombie": ["alone", "succeeded", "succeeded"], "hold": ["commit", "offsets"]}
GAP = 3.0  # seconds between two faults at most; shorter than many last, so that they mix


@dataclass(frozen=True)
class Fault:
    """One fault; `gap` and `length` are in seconds."""

    kind: str
    gap: float
    length: float
    argument: str = ""

    @property
    def told(self) -> str:
        """In a few words."""
        length = f" {self.length:.1f}s" if self.length else ""
        return f"+{self.gap:.1f} {self.kind}{self.argument and ':' + self.argument}{length}"


def plan_of(seed: int, count: int, *, transactions: bool = True) -> list[Fault]:
    """`count` faults; every kind comes once before the weights decide."""
    draw = random.Random(f"plan {seed}")
    left_out = () if transactions else TRANSACTIONAL
    kinds = {kind: weight for kind, (weight, *_) in KINDS.items() if kind not in left_out}
    each = draw.sample(sorted(kinds), len(kinds))
    more = draw.choices(list(kinds), list(kinds.values()), k=max(0, count - len(each)))
    faults = []
    points = crash_points(draw)
    for kind in [*each, *more][:count]:
        _, shortest, longest = KINDS[kind]
        argument = draw.choice(ARGUMENTS.get(kind, [""]))
        if kind in AT_A_POINT:
            argument = next(points)
        faults.append(Fault(kind, draw.uniform(0.2, GAP), draw.uniform(shortest, longest), argument))
    return faults


def crash_points(draw: random.Random) -> Iterator[str]:
    """Crash points for ever, each once before any comes again."""
    while True:
        for point in draw.sample(sorted(CRASH_POINTS), len(CRASH_POINTS)):
            yield f"{point}:{draw.randint(1, CRASH_POINTS[point])}"
