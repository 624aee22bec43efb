"""One seed of the torture suite: about a dozen faults against a group under load, and no window notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fleet import FAULT_BUILD
from .plan import plan_of
from .seed import Run
from .shape import shape_of

SEED = 7
FAULTS = 12
CERTAIN = 10  # others wait for a member to come to a point, which it may not live to see


@pytest.mark.kafka
@pytest.mark.timeout(900)
@pytest.mark.skipif(not FAULT_BUILD.is_dir(), reason="scripts/fault-build has not run")
@pytest.mark.filterwarnings("default")
def test_no_window_is_lost_doubled_or_wrong_under_a_dozen_faults(tmp_path: Path) -> None:
    run = Run(SEED, shape_of(SEED), plan_of(SEED, FAULTS), tmp_path)

    outcome = run.outcome()

    assert outcome.failed == {}
    assert outcome.tally.windows > 1_000
    assert outcome.left_out == []
    assert outcome.unfinished >= CERTAIN
