"""Event logs with all that tells a right window from a wrong one: disorder, late events, edges, repeats."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from .records import Record, event

BASE = 1_700_000_000_000  # November 2023; old enough to show that no wall clock is read
KEYS = [*(f"key-{i:02}".encode() for i in range(18)), "ключ".encode(), b"\xff\xfe", b""]


def load(events: int, *, span: int, partitions: int = 4, seed: int = 7, edge: int = 1000) -> list[Record]:
    """Records of `events` events over `span` ms of event time, in the order in which they are to be written.

    One in ten is out of order by up to 2 s, one in thirty by up to 30 s, one in ten is on a multiple of
    `edge` or 1 ms beside it, one in a hundred repeats the one before it byte for byte. Every key but the
    first keeps to one partition; the first visits all.
    """
    random_ = random.Random(seed)
    records: list[Record] = []
    for seq in range(events):
        if records and random_.random() < 0.01:
            records.append(records[-1])
            continue
        now = BASE + span * seq // events
        ts = now
        draw = random_.random()
        if draw < 0.1:
            ts -= random_.randrange(2_000)
        elif draw < 0.1 + 1 / 30:
            ts -= random_.randrange(30_000)
        elif draw < 0.24:
            ts = ts // edge * edge + random_.choice([-1, 0, 1])
        slot = random_.randrange(len(KEYS))
        partition = slot % partitions if slot else random_.randrange(partitions)
        records.append(event(partition, KEYS[slot], ts, seq, stamp=now))
    return records


def chunks(records: Sequence[Record], count: int) -> list[list[Record]]:
    """The records in `count` pieces of about the same length, in order."""
    cuts = [len(records) * i // count for i in range(count + 1)]
    return [list(records[a:b]) for a, b in pairwise(cuts)]
