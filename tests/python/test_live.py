"""What `millstream run` shows in a terminal: figures, the last log lines; and the terminal given back."""

import json
import logging
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from millstream.cli._live import LiveScreen, Tail

PLAN: dict[str, Any] = {
    "name": "activity",
    "group_id": "activity",
    "brokers": "localhost:9092",
    "guarantee": "exactly_once",
    "sources": [{"topic": "readings", "fields": ["v"]}],
    "models": [
        {
            "name": "cadence",
            "source": 0,
            "size_ms": 10_000,
            "hop_ms": 1_000,
            "grace_ms": 0,
            "sink": "out",
            "workers": 4,
        }
    ],
}


def metrics(events: int = 0, windows: int = 0, partitions: int = 2, **changed: Any) -> dict[str, Any]:
    gauges = {"events": 20, "keys": 3, "state_bytes": 2_048}
    return {
        "consumed": events,
        "windows": windows,
        "late_pairs": 7,
        "dead_letters": 5,
        "inflight_bytes": 3 * 2**20,
        "commit_seconds_p99": 0.0123,
        "paused": False,
        "sources": {
            "readings": {
                "partitions": {
                    number: {**gauges, "lag": number * 100, "clock": 1_000_000}
                    for number in range(partitions)
                },
                "dead_letters": {},
            }
        },
        "models": {
            "cadence": {
                "events": events,
                "windows_produced": windows,
                "windows_skipped": 0,
                "late_pairs": 7,
                "dead_letters": {"model_error": 5},
                "windows_open": 1_234,
                "batches": 3,
                "batch_windows_p50": 96.0,
                "predict_seconds": 3.0,
                "predict_seconds_p50": 0.0042,
                "predict_seconds_p99": 1.5,
                "pool_busy": 3,
            }
        },
    } | changed


class Shown:
    """A live screen on a terminal of text, with clocks set by hand."""

    def __init__(self, width: int = 120, height: int = 40) -> None:
        self.out = StringIO()
        self.now = 100.0
        self.metrics = metrics()
        self.console = Console(
            file=self.out, force_terminal=True, width=width, height=height, color_system=None
        )
        self.screen = LiveScreen(self.console, lambda: self.metrics, lambda: self.now, lambda: 1_065.0)
        self.screen._workers = {"cadence": 4}

    def text(self) -> str:
        """Return the picture as lines."""
        plain = Console(file=StringIO(), width=self.console.width, height=self.console.height)
        with plain.capture() as captured:
            plain.print(self.screen.picture())
        return captured.get()


def row(text: str, first: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.strip().startswith(first))
    return re.split(r"\s{2,}", line.strip())


def test_a_row_says_what_a_model_does() -> None:
    shown = Shown()
    shown.text()
    shown.now, shown.metrics = 102.0, metrics(events=20_000, windows=400)
    text = shown.text()
    head = ["model", "events/s", "windows/s", "late", "dead", "open", "batch", "p50", "p99", "busy"]
    assert row(text, "model") == head
    said = ["cadence", "10,000", "200", "7", "5", "1,234", "96", "4.2 ms", "1.5 s", "3/4"]
    assert row(text, "cadence") == said
    assert "2 s  20,000 events (10,000/s)  400 windows (200/s)  late 7  dead letters 5" in text
    assert "in flight 3.0 MiB  commit p99 12 ms" in text


def test_a_model_of_events_has_a_rate_of_events() -> None:
    def scored(closed: int) -> dict[str, Any]:
        figures = metrics()
        figures["models"]["cadence"] |= {"events": 0, "scored": 0, "windows_closed": closed}
        return figures

    shown = Shown()
    shown.metrics = scored(0)
    shown.text()
    shown.now, shown.metrics = 102.0, scored(500)
    assert row(shown.text(), "cadence")[1] == "250"


def test_rates_are_those_of_the_last_seconds() -> None:
    shown = Shown()
    for second in range(60):
        shown.now = 100.0 + second
        shown.metrics = metrics(events=1_000 * second if second < 30 else 29_000)
        shown.text()
    assert row(shown.text(), "cadence")[1] == "0"


def test_a_row_says_where_a_partition_stands_the_furthest_behind_first() -> None:
    text = Shown().text()
    assert row(text, "partition") == ["partition", "lag", "clock delay", "events", "keys", "bytes", "state"]
    assert row(text, "readings [0]") == ["readings [0]", "0", "65 s", "20", "3", "2.0 KiB", "caught up"]
    assert row(text, "readings [1]") == ["readings [1]", "100", "65 s", "20", "3", "2.0 KiB", "reading"]
    assert text.index("readings [1]") < text.index("readings [0]")


def test_what_is_not_known_yet_is_no_figure() -> None:
    shown = Shown()
    shown.metrics = metrics(partitions=0, commit_seconds_p99=None)
    shown.metrics["models"]["cadence"] |= {
        "batch_windows_p50": None,
        "predict_seconds_p50": None,
        "predict_seconds_p99": None,
    }
    text = shown.text()
    assert "no partition assigned yet" in text
    assert "None" not in text
    shown.metrics = metrics(partitions=1)
    shown.metrics["sources"]["readings"]["partitions"][0] |= {"lag": None, "clock": None}
    assert row(shown.text(), "readings [0]") == ["readings [0]", "unknown", "20", "3", "2.0 KiB", "waiting"]


def test_it_fits_a_small_terminal() -> None:
    shown = Shown(width=80, height=24)
    shown.metrics = metrics(partitions=64)
    text = shown.text()
    assert len(text.splitlines()) <= 24
    assert "readings [63]" in text, "the furthest behind"
    assert "more" in text


def test_a_pause_is_said() -> None:
    shown = Shown()
    shown.metrics = metrics(paused=True)
    assert "paused: models are behind" in shown.text()


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("millstream.x", level, "", 0, "%s", (text,), None)


def test_the_last_log_lines_stay_and_no_warning_is_lost() -> None:
    lost: list[str] = []
    tail = Tail(lambda line: lost.append(line.plain))
    tail.emit(record(logging.WARNING, "near a limit"))
    for number in range(20):
        tail.emit(record(logging.INFO, f"line {number}"))
    assert [line.plain for line in tail.lines()] == [f"line {number}" for number in range(14, 20)]
    assert lost == ["near a limit"]
    tail.emit(record(logging.ERROR, "failed\nTraceback"))
    assert lost[1:] == ["failed\nTraceback"]


def test_log_lines_of_the_users_own_handler_scroll_above_the_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = Shown()
    handler = logging.StreamHandler()
    before = handler.stream
    logging.getLogger("millstream").addHandler(handler)
    try:
        shown.screen.banner(PLAN)
        logging.getLogger("millstream.kafka").warning("said by the user's handler")
        shown.screen.close()
    finally:
        logging.getLogger("millstream").removeHandler(handler)
    assert "said by the user's handler" in shown.out.getvalue()
    assert capsys.readouterr().err == ""
    assert handler.stream is before


MODULE = """
import json, threading
from millstream import App, Topic, TumblingWindow
from millstream.embedded import EmbeddedBroker, Producer

broker = EmbeddedBroker.get()
broker.create_topic("readings", 2)
producer = Producer(broker.brokers)
for ts in range(1_764_000_000_000, 1_764_000_060_000, 1_000):
    producer.send("readings", json.dumps({"ts": ts, "v": 1}).encode(), key=b"a")
producer.flush()
producer.close()
app = App("activity", brokers="embedded")

@app.model(
    source=Topic("readings", timestamp="ts", timestamp_unit="ms", fields=["v"], idle_timeout=None),
    window=TumblingWindow("10s", grace="0s"),
    sink="results",
    on_error="fail",
)
def cadence(batch):
    FAIL
    return batch.lengths
"""
RUN = "from millstream.cli import main; main()"


def in_terminal(
    folder: Path, *, fail: str = "pass", until: Callable[[str], bool] = lambda output: False
) -> tuple[int, str]:
    """Run the module in a terminal of its own, with Ctrl-C once `until` holds; return code and output."""
    (folder / "pipeline.py").write_text(MODULE.replace("FAIL", fail))
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, "run", "pipeline:app"],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output, interrupted, give_up = "", False, time.monotonic() + 90
    with child:
        while time.monotonic() < give_up:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    read = os.read(ours, 65_536)
                except OSError:
                    break
                output += read.decode(errors="replace")
            if not interrupted and until(output):
                interrupted = True
                child.send_signal(signal.SIGINT)
        child.kill()
    os.close(ours)
    return child.returncode, output


@pytest.mark.timeout(150)
def test_a_terminal_sees_figures_live_and_a_summary_and_gets_its_cursor_back(tmp_path: Path) -> None:
    # It is redrawn, too, before it is interrupted.
    code, output = in_terminal(
        tmp_path, until=lambda output: " 5 windows " in output and output.count("clock delay") > 3
    )
    assert code == 0, output
    for said in ("millstream ", "activity", "events/s", "windows/s", "p99", "readings [0]", "readings [1]"):
        assert said in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    after = output[output.rindex("\x1b[?25h") :]
    assert "60 events, 5 windows, 0 late, 0 dead letters, lag 0" in after
    assert re.search(r"cadence: 5 windows in \d+ calls", after)
    assert "Traceback" not in output


@pytest.mark.timeout(150)
def test_an_error_comes_last_on_a_terminal_given_back(tmp_path: Path) -> None:
    code, output = in_terminal(tmp_path, fail="raise OSError('no room')")
    assert code == 1
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "no room" in output[output.rindex("\x1b[?25h") :]


@pytest.mark.timeout(150)
def test_everything_is_a_json_record_by_log_json(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(MODULE.replace("FAIL", "pass"))
    command = [sys.executable, "-c", RUN, "run", "pipeline:app", "--log-json", "--until", "end", "--drain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(found["logger"].startswith("millstream") for found in records)
    assert {found["app"] for found in records} == {"activity"}
    messages = [found["message"] for found in records]
    assert any("60 events, 6 windows" in message for message in messages)
    assert {found["level"] for found in records} == {"info"}


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("fail", "code", "says"),
    [("raise MemoryError('no room')", 1, "MemoryError"), ("return 1", 1, "ModelError")],
)
def test_an_error_is_a_json_record_too(tmp_path: Path, fail: str, code: int, says: str) -> None:
    (tmp_path / "pipeline.py").write_text(MODULE.replace("FAIL", fail))
    command = [sys.executable, "-c", RUN, "run", "pipeline:app", "--log-json", "--until", "end", "--drain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == code
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["level"], last["logger"], last["app"]) == ("error", "millstream.run", "activity")
    assert says in last["message"]
    assert says in last["exception"]
