"""The checks themselves, on small cases by hand: what they must see, and what they must leave alone."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from kafka.oracle import Window
from kafka.records import Record

from .frames import END_TXN, request
from .network import reuses
from .plan import CRASH_POINTS, KINDS, plan_of
from .stream import Load
from .tally import Takeover, Tally, check_takeovers, compare

W = [Window(end, b"k", "m", end - 10, (end,)) for end in (10, 20, 30)]


@pytest.mark.parametrize(
    ("found", "failures", "counts"),
    [
        pytest.param(W, set(), (0, 0, 0), id="all of them"),
        pytest.param(W[:2], {"nothing lost"}, (1, 0, 0), id="one is missing"),
        pytest.param([*W, W[0]], {"exactly once"}, (0, 1, 0), id="one is there twice"),
        pytest.param(
            [W[0], W[1], W[2]._replace(seqs=(7,))], {"content"}, (0, 0, 1), id="one holds another event"
        ),
        pytest.param([*W, W[0]._replace(start=3)], {"content"}, (0, 0, 1), id="one is not wanted"),
    ],
)
def test_what_differs_is_counted(
    found: list[Window], failures: set[str], counts: tuple[int, int, int]
) -> None:
    tally = Tally()

    compare(tally, "here", found, W, once=True)

    assert set(tally.failures) == failures
    assert (tally.lost, tally.duplicated, tally.wrong) == counts


def test_a_repeat_is_no_failure_at_least_once() -> None:
    tally = Tally()

    compare(tally, "here", [*W, W[0]], W, once=False)

    assert (tally.failures, tally.repeats) == ({}, 1)


@pytest.mark.parametrize(
    ("makers", "seen"),
    [
        pytest.param([("a", 1.0), ("b", 2.0), ("b", 2.0)], False, id="the successor goes on"),
        pytest.param([("a", 1.0), ("b", 2.0), ("a", 1.0)], True, id="the old life comes back"),
        pytest.param([("a", 1.0), ("b", 2.0), ("a", 9.0)], False, id="a new life of the same process"),
    ],
)
def test_nothing_of_an_old_life_may_follow_its_successor(makers: list[tuple[str, float]], seen: bool) -> None:
    records = [
        Record(0, b"k", json.dumps({"worker": worker, "life": life}).encode(), 0, offset)
        for offset, (worker, life) in enumerate(makers)
    ]
    tally = Tally()

    check_takeovers(tally, "sink", {0: records}, [Takeover("a", 5.0, {"sink": {0: 0}})])

    assert ("takeover" in tally.failures) == seen


def line(correlation: int, **what: Any) -> dict[str, Any]:
    return {"at": 0.0, "connection": 1, "correlation": correlation, "name": "t", **what}


@pytest.mark.parametrize(
    ("answers", "epoch", "seen"),
    [
        pytest.param([{"lost": True}], 0, True, id="the outcome is unknown"),
        pytest.param([{"lost": True}], 1, False, id="a new epoch after an unknown outcome"),
        pytest.param([{"lost": True}, {"lost": False}], 0, False, id="asked again, and answered"),
    ],
)
def test_a_producer_that_goes_on_after_an_unknown_outcome_is_seen(
    answers: list[dict[str, bool]], epoch: int, seen: bool
) -> None:
    trace = []
    for number, answer in enumerate(answers):
        trace.append(line(number, request="EndTxn", producer=7, epoch=0))
        trace.append(line(number, reply="EndTxn", **answer))
    trace.append(line(9, request="AddPartitionsToTxn", producer=7, epoch=epoch))

    assert bool(reuses(trace)) == seen


@pytest.mark.parametrize("version", [1, 3])
def test_a_request_is_read_in_both_encodings(version: int) -> None:
    name = b"\x05abcd" if version == 3 else b"\x00\x04abcd"
    header = struct.pack(">hhih", END_TXN, version, 42, 2) + b"me" + (b"\x00" if version == 3 else b"")

    api, _, correlation, said = request(header + name + struct.pack(">qhb", 7, 3, 1))

    assert (api, correlation) == (END_TXN, 42)
    assert said == {"client": "me", "name": "abcd", "producer": 7, "epoch": 3, "commit": True}


def test_a_plan_is_a_function_of_its_seed_and_holds_every_kind() -> None:
    plan = plan_of(3, 56)

    assert plan == plan_of(3, 56)
    assert plan != plan_of(4, 56)
    assert {fault.kind for fault in plan} == set(KINDS)
    crashes = [fault.argument.split(":")[0] for fault in plan if fault.kind in ("crash", "panic")]
    assert set(crashes) == set(CRASH_POINTS)


def test_a_load_is_a_function_of_its_seed() -> None:
    records = [record for record, _ in zip(Load(1).records(), range(5_000), strict=False)]

    assert records == [record for record, _ in zip(Load(1).records(), range(5_000), strict=False)]
    assert {record.partition for record in records} == {0, 1, 2, 3}
