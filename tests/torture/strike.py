"""Carries a plan out: faults begin when they are due, last, and end, while members that died are replaced."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count

from kafka.broker import Broker
from kafka.clients import Kafka

from .faults import FAULTS
from .fleet import Ended, Fleet, Member, tail
from .network import Network
from .plan import Fault
from .tally import Takeover
from .watch import Watch

TICK = 0.05
# A member with a name may come back to its group under another member id, while requests of its old one are
# still on their way: to its own client that reads as another member of that name.
RETURNING = {
    "late_commit",
    "hold",
    "broker_kill",
    "broker_stop",
    "refuse_replicas",
    "swallow_commit",
    "swallow_offsets",
}
LATER = {"crash", "panic", "storm", "late_commit"}  # these count when they come to act
PATIENCE = 60.0  # a fault whose target is not free for that long is left out
EXCUSED = 60.0  # seconds after a fault in which an error may still be its effect
ON_THE_NETWORK = {
    "swallow_commit": "swallowed EndTxn",
    "swallow_offsets": "swallowed TxnOffsetCommit",
    "cut_request": "cut request",
    "cut_reply": "cut reply",
    "delay": "delayed",
}
PANIC = "asked for: panic"
SIGNALLED = (-9, -15, 143)  # 143: a second SIGTERM


class Striker:
    """The faults of one run."""

    def __init__(
        self, broker: Broker, kafka: Kafka, network: Network, fleet: Fleet, watch: Watch, seed: int
    ) -> None:
        """`fleet` has its members already."""
        self.broker, self.kafka, self.network, self.fleet = broker, kafka, network, fleet
        self.watch = watch
        self.random = random.Random(f"strike {seed}")
        self.armed: list[str] = []  # faults that members to come do to themselves
        self.away = False  # whether something is being done to the broker
        self.struck: Counter[str] = Counter()
        self.moments: list[tuple[str, int]] = []  # each of them, and what the group had committed then
        self.left_out: list[str] = []
        self.takeovers: list[Takeover] = []
        self.ends: Counter[str] = Counter()
        self.findings: list[tuple[str, str]] = []  # the check that found it, and what it is
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._excused: list[tuple[str, float]] = []
        self._extra: set[int] = set()  # slots that are not filled again
        self._seen: set[str] = set()

    def run(self, plan: list[Fault]) -> None:
        """All faults, and their ends."""
        for fault in plan:
            self.wait(fault.gap)
            deadline = time.monotonic() + PATIENCE
            while not FAULTS[fault.kind](self, fault):
                self.wait(TICK)
                if time.monotonic() > deadline:
                    self.left_out.append(fault.told)
                    break
            else:
                if fault.kind not in LATER:
                    self.note(fault.kind)
                if fault.kind in RETURNING and self.fleet.shape.static:
                    self.excuse("FencedError")
        while self._due or self.away:
            self.wait(TICK)

        self.count()

    def count(self) -> None:
        """What the network was asked for counts as far as it came to it."""
        totals = self.network.totals
        for kind, done in ON_THE_NETWORK.items():
            idle = self.struck[kind] - totals.get(done, 0)
            while idle > 0:
                self.struck[kind] -= 1
                self.moments.remove(next(moment for moment in self.moments if moment[0] == kind))
                idle -= 1
        self.struck = +self.struck

    def wait(self, seconds: float) -> None:
        """Let time pass: ends of faults and of members are seen to."""
        deadline = time.monotonic() + seconds
        while True:
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
            self.reap()
            if time.monotonic() >= deadline:
                return
            time.sleep(TICK)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))

    def note(self, kind: str) -> None:
        """Count a fault that struck."""
        self.struck[kind] += 1
        self.moments.append((kind, self.watch.total))

    def excuse(self, text: str, seconds: float = EXCUSED) -> None:
        """Errors that hold this text are legitimate for a while."""
        self._excused.append((text, time.monotonic() + seconds))

    def member(self) -> Member | None:
        """A member to strike."""
        return self.fleet.free(self.random)

    def extra_slot(self) -> int:
        """A slot that is not filled again when its member has ended."""
        slot = max(self.fleet.slots) + 1
        self._extra.add(slot)
        return slot

    def fill(self, slot: int) -> Member:
        """Start a member, which does to itself what the plan says next."""
        return self.fleet.start(slot, self.armed.pop(0) if self.armed else "")

    def reap(self) -> None:
        """See to members that have ended."""
        for member in self.fleet.started:
            if member.name in self._seen or member.worker.running:
                continue
            self._seen.add(member.name)
            ended = member.ended()
            self._judge(member, ended)
            slot = self.fleet.slot(member)
            if self.fleet.slots[slot] is member and slot not in self._extra:
                self.after(self.random.uniform(0.1, 1.5), partial(self._refill, slot))

    def _refill(self, slot: int) -> None:
        if not self.fleet.slots[slot].worker.running:
            self.fill(slot)

    def _judge(self, member: Member, ended: Ended) -> None:
        """Count an end, which is a finding where nothing explains it."""
        now = time.monotonic()
        excused = [*member.excused, *(text for text, until in self._excused if now < until)]
        if PANIC in ended.error:
            self.note("panic")
            self.ends["panic"] += 1
        elif ended.crash:
            self.note(f"crash:{ended.crash}")
            self.ends["crash point"] += 1
        elif ended.code in SIGNALLED and member.ending:
            self.ends["signal"] += 1
        elif ended.code == 0 and member.ending:
            self.ends["clean"] += 1
        elif ended.error and any(text in ended.error for text in excused):
            self.ends[ended.error.split(":")[0]] += 1
        else:
            self.ends["unexplained"] += 1
            self.find("ends", f"{ended.told}\n{tail(ended.log)}")

    def find(self, check: str, text: str) -> None:
        """Something that must not be."""
        self.findings.append((check, text))
