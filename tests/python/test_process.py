"""An app in a process of its own, on the embedded broker: signals, a failing model, an exit in mid-run."""

import signal
import subprocess
import sys
from typing import IO

import pytest

PROGRAM = """
import sys, threading, time
from millstream import App, Topic, TumblingWindow, WindowBatch
from millstream._core import EmbeddedBroker, Producer

broker = EmbeddedBroker.get()
broker.create_topic("readings", 1)
producer = Producer(broker.brokers)
begin = int(time.time()) * 1_000 - 60_000
for ts in range(begin, begin + 60_000, 1_000):
    producer.send("readings", b'{"ts": %d, "v": 1}' % ts, key=b"a")
producer.flush()
producer.close()

app = App("app", brokers="embedded")
readings = Topic("readings", timestamp="ts", timestamp_unit="ms", fields=["v"])
called = threading.Event()

@app.model(source=readings, window=TumblingWindow("10s", grace="0s"), sink="results", on_error="fail")
def model(batch):
    print("called", flush=True)
    called.set()
    BODY
    return batch.lengths

MAIN
print("returned", flush=True)
"""


class Process:
    """The program, run up to the first call of its model; output and errors are one stream."""

    def __init__(self, *, body: str = "pass", main: str = "app.run()") -> None:
        code = PROGRAM.replace("BODY", body).replace("MAIN", main)
        self._child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def __enter__(self) -> "Process":
        while "called" not in self.lines:
            line = self._stdout.readline()
            assert line, self.lines
            self.lines.append(line.rstrip("\n"))
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        with self._child:
            pass

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def type(self, text: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(text)
        self._child.stdin.flush()

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self.lines += self._stdout.read().splitlines()
        return self._child.wait()

    @property
    def _stdout(self) -> IO[str]:
        assert self._child.stdout is not None
        return self._child.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_a_run_in_order(number: signal.Signals) -> None:
    with Process() as process:
        process.signal(number)
        assert process.end() == 0, process.lines
        assert process.lines[-1] == "returned"


def test_a_signal_waits_for_the_call_that_is_running() -> None:
    with Process(body="sys.stdin.readline(); print('finished', flush=True)") as process:
        process.signal(signal.SIGTERM)
        process.type("go on\n" * 100)
        assert process.end() == 0, process.lines
        assert "finished" in process.lines
        assert process.lines[-1] == "returned"


def test_a_second_signal_ends_a_run_at_once() -> None:
    with Process(body="sys.stdin.readline()") as process:
        # Unlike two of a kind, these cannot merge into one before they are seen.
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGINT)
        assert process.end() in (143, -signal.SIGINT), process.lines
        assert "returned" not in process.lines


def test_an_exception_in_the_model_ends_the_program_with_its_traceback() -> None:
    with Process(body="1 / 0") as process:
        assert process.end() == 1
        assert "returned" not in process.lines
        assert "Traceback (most recent call last):" in process.lines
        assert any(line.endswith("in model") for line in process.lines)
        assert process.lines[-1] == "ZeroDivisionError: division by zero"


def test_the_interpreter_can_leave_a_run_on_another_thread_behind() -> None:
    main = "threading.Thread(target=app.run, daemon=True).start(); called.wait()"
    with Process(main=main) as process:
        assert process.end() == 0, process.lines
        # Two threads print, so lines may run together; what matters is that nobody else had anything to say.
        assert "".join(process.lines).replace("called", "").replace("returned", "") == ""
