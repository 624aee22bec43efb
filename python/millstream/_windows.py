"""HoppingWindow and TumblingWindow: which stretches of event time a model sees."""

from dataclasses import KW_ONLY, dataclass, field

from millstream import _check
from millstream._durations import Duration, canonical, duration_ms

_WHY_GRACE = (
    "has no default: it is how long a window waits for events that come out of order. More grace is a later "
    "result, less grace is more late events"
)
# A window of a day every 100 ms. Beyond it a single event would keep a core busy for minutes.
_MOST_OVERLAP = 1_000_000


@dataclass(frozen=True)
class HoppingWindow:
    """Windows of `size` that start every `hop`: each event is in every window that holds its time.

    A window `[start, end)` starts at `offset + k * hop` for a whole k, counted from the epoch. It closes,
    once and for good, when the highest event time of its partition reaches `end + grace`.

    Durations are strings such as `"10s"`, `"250ms"`, `"1m"`, `"1h30m"`, or a timedelta, in whole ms.

    Args:
        size: Length of a window.
        hop: From one start to the next; at most `size`, which need not be a multiple of it, and at least
            a millionth of it.
        grace: How long a window waits for events that come out of order. It has to be said; `"0ms"` is fine
            for a topic in order.
        offset: Shifts every start; may be negative.
        min_events: Windows with fewer events are skipped, and counted.

    Raises:
        ConfigError: An argument is of a wrong type or value, or `hop` is longer than `size`, or so short that
            an event would be in more than a million windows.
    """

    size: Duration
    _: KW_ONLY
    hop: Duration
    grace: Duration | None = None
    offset: Duration = "0ms"
    min_events: int = 1

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if self.grace is None:
            raise _check.refusal(f"{owner} grace", self.grace, _WHY_GRACE, 'write for example grace="5s"')
        for name, least in (("size", 1), ("hop", 1), ("grace", 0), ("offset", None)):
            spelled = canonical(f"{owner} {name}", getattr(self, name), least=least)
            object.__setattr__(self, name, spelled)
        _check.count(f"{owner} min_events", self.min_events)
        if duration_ms("hop", self.hop) > duration_ms("size", self.size):
            raise _check.refusal(
                f"{owner} hop",
                self.hop,
                f"is longer than size={self.size!r}, so events between windows would be in none",
                f'write hop="{self.size}" or less',
            )
        overlap = duration_ms("size", self.size) // duration_ms("hop", self.hop)
        if overlap > _MOST_OVERLAP:
            problem = f"puts each event into {overlap:,} windows of size={self.size!r}; a million is the most"
            raise _check.refusal(f"{owner} hop", self.hop, problem, "write a longer hop or a shorter size")

    def _repr_html_(self) -> str:
        # Only where it is shown: it draws, and most programs never do.
        from millstream import _html

        return _html.of_hopping(self)


@dataclass(frozen=True)
class TumblingWindow(HoppingWindow):
    """Windows of `size` side by side: a HoppingWindow whose `hop` is its `size`.

    Args:
        size: Length of a window, and the way from one start to the next.
        grace: See HoppingWindow.
        offset: See HoppingWindow.
        min_events: See HoppingWindow.

    Raises:
        ConfigError: An argument is of a wrong type or value.
    """

    hop: Duration = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hop", self.size)
        super().__post_init__()
