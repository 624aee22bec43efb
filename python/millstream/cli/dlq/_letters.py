"""Dead letters as they are read: a record that was no event, or a window that a model failed on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import click

from millstream import App, _core
from millstream.cli._errors import Mistake

# (topic, partition or None for what the key decides, key, value, timestamp in ms, headers)
Answer: TypeAlias = tuple[str, int | None, bytes | None, bytes | None, int, list[tuple[str, bytes]]]
# ("result", record, None, None), ("silent", None, None, None) or ("failed", None, error, traceback)
Outcome: TypeAlias = tuple[str, Answer | None, str | None, str | None]

RECORD_REASONS = (
    "too_large",
    "too_deep",
    "not_json",
    "bad_type",
    "missing_key",
    "bad_key",
    "bad_timestamp",
    "missing_field",
    "future_timestamp",
)
WINDOW_REASONS = ("model_error", "result_too_large")


@dataclass(frozen=True)
class Letter:
    """One dead letter.

    Args:
        partition: Where it is in the dead-letter topic.
        offset: Its offset there.
        key: That of the original.
        value: That of the original record, or JSON about the window.
        timestamp: That of the original record, in ms, or the last ms of the window.
        headers: By name.
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: dict[str, str]

    @property
    def reason(self) -> str:
        """The reason code; empty where another program has written the record."""
        return self.headers.get("reason", "")

    @property
    def is_window(self) -> bool:
        """Whether it stands for a window."""
        return self.reason in WINDOW_REASONS and "model" in self.headers

    @cached_property
    def json(self) -> Any:
        """The value as JSON; None where it is none."""
        try:
            return json.loads((self.value or b"").decode())
        except (ValueError, RecursionError):
            return None

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"[{self.partition}] offset {self.offset}"


def open_topic(app: App, purpose: str | None = None, *, write: bool = False) -> _core.DeadLetterTopic | None:
    """Open the dead-letter topic of an app; where there is none, say so and return None.

    Raises:
        MillstreamError: The cluster cannot be asked, or the app cannot run.
    """
    plan = app._plan()
    topic = _core.DeadLetterTopic.open(json.dumps(plan), purpose, write)
    if topic is None:
        click.echo(f"topic {plan['dead_letter_topic']!r} does not exist: there are no dead letters", err=True)
    return topic


def pieces(topic: _core.DeadLetterTopic, offsets: list[int]) -> Iterator[list[Letter]]:
    """Read on from an offset of each partition, to the end that there was when the topic was opened."""
    topic.begin(offsets)
    while records := topic.read():
        yield [_letter(*record) for record in records]


def check_reasons(reasons: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse reason codes that there are not.

    Raises:
        Mistake: One is not known.
    """
    for reason in reasons:
        if reason not in known:
            raise Mistake(f"--reason {reason!r} is not one of {', '.join(known)}")


def _letter(
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    timestamp: int,
    headers: list[tuple[str, bytes]],
) -> Letter:
    named = {name: text.decode(errors="replace") for name, text in headers}
    return Letter(partition, offset, key, value, timestamp, named)
