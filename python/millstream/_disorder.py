"""Disorder: how events of a backtest come out of order."""

from dataclasses import KW_ONLY, dataclass

from millstream import _check
from millstream._durations import Duration, canonical

_LARGEST_SEED = (1 << 64) - 1


@dataclass(frozen=True)
class Disorder:
    """Lets the events of `App.backtest` arrive after their time, the same way for the same seed.

    Each event arrives up to `delay` after its event time, evenly spread; a share of `late` of them arrives
    later than that, by up to `late_by` more. The events are then taken in the order in which they arrive.

    Args:
        seed: 0 to 2**64 - 1.
        delay: How far events come out of order as a rule.
        late: Share of the events that are further behind, 0 to 1.
        late_by: By how much more than `delay`, at the most.

    Raises:
        ConfigError: An argument is of a wrong type or value.
    """

    seed: int = 0
    _: KW_ONLY
    delay: Duration = "1s"
    late: float = 0.0
    late_by: Duration = "1m"

    def __post_init__(self) -> None:
        _check.count("Disorder seed", self.seed, least=0, most=_LARGEST_SEED)
        object.__setattr__(self, "delay", canonical("Disorder delay", self.delay, least=0))
        object.__setattr__(self, "late_by", canonical("Disorder late_by", self.late_by))
        late: object = self.late
        if isinstance(late, bool) or not isinstance(late, int | float) or not 0 <= late <= 1:
            raise _check.refusal("Disorder late", late, "is not a share", "write a number from 0 to 1")
