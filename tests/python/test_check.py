"""`millstream check` and `millstream reset`: how they are called, what they print, and how they end."""

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from millstream import _core
from millstream.cli import main
from millstream.cli._errors import Mistake
from millstream.cli.reset import Move, move_lines, parse_target

MODULE = """
from millstream import App, Topic, TumblingWindow, _core

def make(**options):
    app = App("activity", **options)
    readings = Topic("watch.readings", key="device", timestamp="ts", fields=["ax", "ay"])

    @app.model(source=readings, window=TumblingWindow("10s", grace="5s"), sink="watch.activity")
    def activity(batch):
        return batch.lengths

    return app

embedded = make(brokers="embedded")
real = make()
mock = make(brokers=_core.EmbeddedBroker.get().brokers, guarantee="exactly_once")
slow = make(kafka={"max.poll.interval.ms": 1000})
fast = make(kafka={"transaction.timeout.ms": 9999})
without = App("empty")
"""
FINDINGS = [
    ("ok", "brokers", "h:9092", "the cluster at h:9092 answers"),
    ("warning", "retention", "t", "topic t keeps too little: raise retention.ms"),
]
MOVES: list[Move] = [("t", 0, None, 5, 0, 9), ("t", 1, 7, 3, 3, 9)]


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "checked.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("checked", None)


def millstream(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, arguments, input=typed)


def found(name: str) -> list[dict[str, str]]:
    result = millstream("check", f"checked:{name}", "--json")
    findings: list[dict[str, str]] = [json.loads(line) for line in result.stdout.splitlines()]
    errors = [finding for finding in findings if finding["level"] == "error"]
    assert result.exit_code == (1 if errors else 0)
    return errors


def test_findings_are_one_line_each_and_code_0_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "check", lambda plan: FINDINGS)
    result = millstream("check", "checked:real")
    assert result.exit_code == 0
    lines = [re.sub(r"in \d+\.\d\d s", "in 0.00 s", line) for line in result.stdout.splitlines()]
    assert lines == [
        "ok       brokers       the cluster at h:9092 answers",
        "warning  retention     topic t keeps too little: raise retention.ms",
        "ok       models        model activity: loaded and warmed up in 0.00 s",
    ]
    result = millstream("check", "checked:real", "--json")
    assert json.loads(result.stdout.splitlines()[1]) == {
        "level": "warning",
        "check": "retention",
        "subject": "t",
        "text": "topic t keeps too little: raise retention.ms",
    }


def test_an_error_among_the_findings_is_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        _core, "check", lambda plan: [*FINDINGS, ("error", "topics", "t", "topic t is absent")]
    )
    assert millstream("check", "checked:real").exit_code == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("slow", ["max.poll.interval.ms", "1000", "45000"]),
        ("fast", ["transaction.timeout.ms", "9999", "10000"]),
        ("without", ["has no model"]),
    ],
)
def test_settings_that_cannot_work_are_a_finding(name: str, words: list[str]) -> None:
    (error,) = found(name)
    assert error["check"] == "settings"
    assert all(word in error["text"] for word in words)


def test_exactly_once_on_brokers_that_are_too_old_is_refused() -> None:
    # The mock cluster knows group offsets as brokers before Apache Kafka 2.5 do.
    error = found("mock")[0]
    assert error["check"] == "transactions"
    assert all(word in error["text"] for word in ('guarantee="exactly_once"', "2.5", "at_least_once"))


def test_an_app_on_the_embedded_broker_can_be_checked() -> None:
    assert found("embedded") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "checked"], "write module:app"),
        (["check", "absent:app"], "there is no module 'absent'"),
        (["check", "checked:real", "--fast"], "--fast"),
        (["reset", "checked:real"], "--to"),
        (["reset", "checked:real", "--to", "yesterday"], "'yesterday' is no position; write earliest"),
        (["reset", "checked:real", "--to", "-5"], "'-5' is no position; write earliest"),
        (["reset", "checked:real", "--to", "2026-01-31T12:00"], "write 2026-01-31T12:00Z for UTC"),
        (["reset", "checked:real", "--to", "5", "--partition", "-1"], "--partition"),
        (["reset", "checked:embedded", "--to", "earliest"], "needs a Kafka cluster"),
    ],
)
def test_a_mistake_on_the_command_line_is_code_2(arguments: list[str], message: str) -> None:
    result = millstream(*arguments)
    assert result.exit_code == 2
    assert message.removeprefix("-- ") in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("earliest", ("earliest", 0)),
        ("latest", ("latest", 0)),
        ("0", ("offset", 0)),
        ("1769860800000", ("offset", 1_769_860_800_000)),
        ("@1769860800000", ("time", 1_769_860_800_000)),
        ("2026-01-31T12:00:00Z", ("time", 1_769_860_800_000)),
        ("2026-01-31T13:00:00.250+01:00", ("time", 1_769_860_800_250)),
    ],
)
def test_a_target_is_read_as_it_is_meant(text: str, target: tuple[str, int]) -> None:
    assert parse_target(text) == target


def test_a_duration_is_that_long_ago() -> None:
    before = int(time.time() * 1000)
    kind, ago = parse_target("-1h30m")
    assert kind == "time"
    assert 0 <= ago - (before - 5_400_000) <= int(time.time() * 1000) - before + 1


def test_a_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(Mistake, match="write 2026-01-31T00:00Z for UTC"):
        parse_target("2026-01-31")


@pytest.mark.parametrize("text", ["-1", "-x", "-yes", "9" * 30, "@" + "9" * 30, "1.5", "²", ""])
def test_what_is_no_position_is_named_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(
        Mistake, match=r"^--to '" + re.escape(text) + r"' is no position; write earliest.* or -1h$"
    ):
        parse_target(text)


def test_what_will_happen_is_said_by_partition() -> None:
    assert move_lines(MOVES) == [
        "  t [0]  none -> 5  (log 0 to 9, 4 to read)",
        "  t [1]  7 -> 3  (log 3 to 9, 6 to read)",
    ]


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "done"),
    [
        ([], "y\n", 0, True),
        ([], "n\n", 1, False),
        ([], "", 1, False),
        (["--yes"], "", 0, True),
        (["--yes", "--dry-run"], "", 0, False),
    ],
)
def test_nothing_is_set_before_a_yes(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], typed: str, code: int, done: bool
) -> None:
    asked, calls = [], []

    def moves(_plan: str, *how: object) -> list[Move]:
        asked.append(how)
        return MOVES

    monkeypatch.setattr(_core, "reset_moves", moves)
    monkeypatch.setattr(_core, "reset", lambda *how: calls.append(how[1:]))
    result = millstream("reset", "checked:real", "--to", "5", "--topic", "t", *arguments, typed=typed)
    assert result.exit_code == code
    assert "  t [1]  7 -> 3" in result.stdout
    assert asked == [("offset", 5, "t", None)]
    assert calls == ([("offset", MOVES)] if done else [])
