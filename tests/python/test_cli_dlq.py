"""How far dead letters have been answered: each once, whatever is asked for in which pieces; their looks."""

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millstream.cli._table import columns, printable
from millstream.cli.dlq._letters import Letter
from millstream.cli.dlq._positions import MOST_LEFT, ReplayPosition, RetryPosition
from millstream.cli.dlq.show import _as_text

REASONS = ("bad_type", "not_json", "missing_field")
Calls = list[tuple[list[str], tuple[str, ...]]]


def cut(offsets: range, size: int) -> list[range]:
    return [offsets[at : at + size] for at in range(0, len(offsets), size)]


@given(
    calls=st.lists(
        st.tuples(
            st.lists(st.sampled_from(REASONS), max_size=6), st.sets(st.sampled_from(REASONS)).map(tuple)
        ),
        max_size=8,
    ),
    size=st.integers(1, 4),
    low=st.integers(0, 3),
)
def test_a_record_is_replayed_once_whatever_the_reasons(calls: Calls, size: int, low: int) -> None:
    log: list[str] = ["bad_type"] * low
    stored: tuple[int, str] | None = None
    replayed: Counter[int] = Counter()
    for added, reasons in [*calls, ([], ())]:
        log += added
        position = ReplayPosition.of(stored, low)
        for piece in cut(range(max(position.begin(reasons), low), len(log)), size):
            for offset in piece:
                wanted = not reasons or log[offset] in reasons
                replayed[offset] += wanted and not position.is_done(offset, log[offset])
            position.advance(reasons, piece[-1] + 1)
            stored = position.committed()
            position = ReplayPosition.of(stored, low)
        position.advance(reasons, len(log))
        stored = position.committed()
        for offset in range(low, len(log)):
            done = not reasons or log[offset] in reasons
            assert replayed[offset] == 1 if done else replayed[offset] <= 1
    assert all(replayed[offset] == 1 for offset in range(low, len(log)))


@given(
    calls=st.lists(st.tuples(st.integers(0, 8), st.sets(st.integers(0, 30))), max_size=8),
    size=st.integers(1, 4),
)
def test_a_window_is_retried_until_it_succeeds_and_then_no_more(
    calls: list[tuple[int, set[int]]], size: int
) -> None:
    end, stored = 0, None
    succeeded: Counter[int] = Counter()
    for added, failing in [*calls, (0, set())]:
        end += added
        position = RetryPosition.of(stored, 0)
        called = set()
        for piece in cut(range(position.begin(), end), size):
            open_now = [offset for offset in piece if position.is_open(offset)]
            called |= {*open_now}
            succeeded.update(offset for offset in open_now if offset not in failing)
            assert position.advance(piece, [o for o in open_now if o in failing]) == piece[-1] + 1
            stored = position.committed()
            position = RetryPosition.of(stored, 0)
        position.finish(end)
        stored = position.committed()
        assert {offset for offset in range(end) if not succeeded[offset]} == called & failing
    assert all(succeeded[offset] == 1 for offset in range(end))


def test_more_failures_than_can_be_noted_stop_the_retry_where_they_begin() -> None:
    first = 10**15
    seen = range(first, first + 500)
    position = RetryPosition(first)
    end = position.advance(seen, list(seen))
    assert end == first + MOST_LEFT
    offset, note = position.committed()
    assert offset == end
    assert len(note) <= 4096
    again = RetryPosition.of((offset, note), 0)
    assert again.advance(seen, list(seen)) == end
    assert again.left == list(seen)[:MOST_LEFT]
    assert not again.is_open(first - 1)
    assert again.is_open(end)


def test_a_note_of_another_program_counts_as_none() -> None:
    for note in ("", "not json", "[1]"):
        assert ReplayPosition.of((5, note), 0) == ReplayPosition(5)
        assert RetryPosition.of((5, note), 0) == RetryPosition(5)


def letter(value: bytes | None, **headers: str) -> Letter:
    named = {"reason": "bad_type", "topic": "readings", "partition": "0", **headers}
    return Letter(3, 7, b"k", value, 1_769_860_800_000, named)


def shown(*letters: Letter) -> str:
    counts = Counter(letter.reason for letter in letters)
    return "\n".join(_as_text({"dead_letter_topic": "app.dead-letter"}, counts, list(letters)))


def window(**parts: Any) -> Letter:
    told: dict[str, Any] = {
        "id": "ab",
        "model": "m",
        "version": None,
        "key": "k",
        "window": {"start": 0, "end": 10_000},
    }
    told |= {
        "n_events": 12,
        "fields": ["ax", "ay"],
        "error": "ValueError: no",
        "traceback": "Traceback\n  here",
    }
    return letter(json.dumps({**told, **parts}).encode(), reason="model_error", model="m", group="app")


def test_a_window_is_shown_with_its_first_rows_and_its_traceback() -> None:
    rows: list[list[float | None]] = [[n / 2, None] for n in range(12)]
    text = shown(window(values=rows, timestamps=list(range(12)), context={"site": "north"}))
    for words in ("ax", "0.5  nan", "and 2 events more", '{"site": "north"}', "ValueError: no", "    here"):
        assert words in text
    assert "[1970-01-01T00:00:00.000Z, 1970-01-01T00:00:10.000Z), 12 events" in text
    assert "left out: offsets 3 to 99" in shown(window(offsets={"first": 3, "last": 99}))


def test_a_single_event_is_shown_with_its_time_and_offset() -> None:
    told = {"model": "m", "id": "ab", "timestamp": 5_000, "offset": 41, "fields": ["ax"], "values": [[1.5]]}
    text = shown(letter(json.dumps(told).encode(), reason="model_error", model="m", offset="41"))
    assert "event   1970-01-01T00:00:05.000Z, offset 41" in text
    assert "1.5" in text
    assert "window" not in text


def test_what_is_shown_is_bearable_whatever_it_is() -> None:
    hostile = "\x1b[2J\x07\x9b\u202e"
    text = shown(
        letter(json.dumps({"a": hostile}).encode(), detail=hostile), letter(None), letter(b"\xff" * 9_000)
    )
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text) < 5_000
    odd: list[dict[str, Any]] = [{"values": [[1], [1, 2]]}, {"window": None}, {"values": 3}]
    for parts in [*odd, {"fields": None, "values": [[]]}]:
        assert "model_error" in shown(window(**parts))


def test_text_in_columns() -> None:
    assert columns([("a", "1"), ("long", "1,000")]) == ["a         1", "long  1,000"]
    assert columns([]) == []
    assert printable("a\x1b\n\u202eé") == "a\\x1b\n\\u202eé"
