"""How far a partition of the dead-letter topic has been answered: an offset, and a note beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

# Of the 4096 characters that brokers take by default, at 20 each.
MOST_LEFT = 190


@dataclass
class ReplayPosition:
    """How far records have been replayed: all of them, and some reasons further than that.

    Args:
        next: Everything before it has been replayed.
        reasons: By reason, the offset before which everything has been.
    """

    next: int
    reasons: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, committed: tuple[int, str] | None, low: int) -> Self:
        """Read what was committed; `low` is the oldest offset there is."""
        if committed is None:
            return cls(low)
        noted = _note(committed[1]).get("reasons", {})
        return cls(committed[0], {str(reason): int(offset) for reason, offset in noted.items()})

    def begin(self, reasons: Sequence[str]) -> int:
        """Return where to read on for these reasons; none is all."""
        if not reasons:
            return self.next
        return max(self.next, min(self.reasons.get(reason, self.next) for reason in reasons))

    def is_done(self, offset: int, reason: str) -> bool:
        """Whether a dead letter has been replayed."""
        return offset < max(self.next, self.reasons.get(reason, 0))

    def advance(self, reasons: Sequence[str], offset: int) -> None:
        """Note that everything of these reasons, or of all, has been replayed before `offset`."""
        if reasons:
            for reason in reasons:
                self.reasons[reason] = max(offset, self.reasons.get(reason, 0))
        else:
            self.next = max(offset, self.next)
        self.reasons = {reason: at for reason, at in self.reasons.items() if at > self.next}

    def committed(self) -> tuple[int, str]:
        """Return what is to be committed."""
        return self.next, json.dumps({"reasons": self.reasons}) if self.reasons else ""


@dataclass
class RetryPosition:
    """How far windows have been retried, and those before it that have failed again.

    Args:
        next: Everything before it has been retried.
        left: The offsets of those before it that are to be retried once more, in order.
    """

    next: int
    left: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, committed: tuple[int, str] | None, low: int) -> Self:
        """Read what was committed; `low` is the oldest offset there is."""
        if committed is None:
            return cls(low)
        return cls(
            committed[0], [int(offset) for offset in _note(committed[1]).get("left", []) if offset >= low]
        )

    def begin(self) -> int:
        """Return where to read on."""
        return min([self.next, *self.left])

    def is_open(self, offset: int) -> bool:
        """Whether a window is to be retried."""
        return offset >= self.next or offset in self.left

    def advance(self, seen: Sequence[int], failed: Sequence[int]) -> int:
        """Note what has been read, and which of it has failed again.

        Args:
            seen: Offsets in order, at least one.
            failed: Those among them.

        Returns:
            How far it has come: no further than where more have failed than can be noted.
        """
        end, failed = seen[-1] + 1, sorted(failed)
        room = MOST_LEFT - len(set(self.left) - set(seen))
        if len(failed) > room:
            end, failed = failed[room], failed[:room]
        settled = {offset for offset in seen if offset < end}
        self.left = sorted({*self.left} - settled | {*failed})
        self.next = max(end, self.next)
        return end

    def finish(self, end: int) -> None:
        """Note that everything before `end` has been read."""
        self.next = max(end, self.next)

    def committed(self) -> tuple[int, str]:
        """Return what is to be committed."""
        return self.next, json.dumps({"left": self.left}) if self.left else ""


def _note(text: str) -> dict[str, Any]:
    try:
        noted = json.loads(text)
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}
