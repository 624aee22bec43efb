"""Processes of a model beside the program that starts them: scripts, prompts, signals, ends of all kinds."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import process_models as models
from harness import READINGS, TUMBLING, reading
from millstream import App, WindowBatch

DECLARED = """
import os, signal, sys, time
from millstream import App, Record, Topic, TumblingWindow

app = App("script", brokers="embedded")
source = Topic("readings", timestamp="ts", fields=["v"], idle_timeout=None)
"""

MODEL = """
@app.model(source, window=TumblingWindow("1s", grace="0s"), sink="out", name="m", pool="processes")
class Mean:
    def predict(self, batch):
        return [type(self).__module__ for window in batch]
"""

RUN = """
out = app.test({"readings": [Record({"ts": 0, "v": 1}, key="a")]})
print([record.value["prediction"] for record in out["out"]])
"""

GUARD = '\nif __name__ == "__main__":\n'

# Answers one window, and stays in the call of the next one until there is a file.
STAYS = """
window = TumblingWindow("1s", grace="0s")


@app.model(source, window=window, sink="out", pool="processes", workers=2, max_batch=1)
class Stays:
    def predict(self, batch):
        if batch.starts[0] == 1_000:
            print("called", os.getpid(), flush=True)
            while not os.path.exists(sys.argv[1]):
                time.sleep(0.01)
        return batch.lengths


def main():
    from millstream._core import EmbeddedBroker, Producer

    broker = EmbeddedBroker.get()
    broker.create_topic("readings", 1)
    producer = Producer(broker.brokers)
    for ts in range(0, 3_000, 1_000):
        producer.send("readings", b'{"ts": %d, "v": 0}' % ts, key=b"a", timestamp=ts)
    producer.flush()
    producer.close()
    app.run()
    counted = app.metrics()["models"]["Stays"]
    print("ended", counted["windows_produced"], counted["workers_replaced"])


if __name__ == "__main__":
    main()
"""


def indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.splitlines())


def run_script(path: Path, code: str) -> subprocess.CompletedProcess[str]:
    script = path / "script.py"
    script.write_text(code)
    return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100, check=False)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have."""
    found: list[int] = []
    # Threads end while they are looked at.
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in map(int, (task / "children").read_text().split()):
                    found += [child, *descendants(child)]
    return found


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is more than a line in the table of them."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for_end(pids: list[int]) -> list[int]:
    """Return which of them still run after a while."""
    until = time.monotonic() + 60
    while any(map(runs, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return [pid for pid in pids if runs(pid)]


def start_staying(path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a program that is in a call until there is `path / "enough"`; returns it and its processes."""
    script = path / "script.py"
    script.write_text(DECLARED + STAYS)
    program = subprocess.Popen(
        [sys.executable, script, path / "enough"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.startswith("called"), line + program.communicate()[1]
    started = descendants(program.pid)
    assert int(line.split()[1]) in started
    return program, started


def test_a_model_of_a_script_runs_in_processes(tmp_path: Path) -> None:
    done = run_script(tmp_path, DECLARED + MODEL + GUARD + indented(RUN))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['__mp_main__']\n"


def test_a_script_that_runs_when_it_is_imported_says_what_to_write(tmp_path: Path) -> None:
    done = run_script(tmp_path, DECLARED + MODEL + RUN)
    assert done.returncode == 1
    assert 'write if __name__ == "__main__": above app.run()' in done.stderr
    assert "ended with exit code 1 before the model was loaded" in done.stderr.splitlines()[-1]


def test_a_model_that_only_the_main_program_defines_is_refused(tmp_path: Path) -> None:
    done = run_script(tmp_path, DECLARED + GUARD + indented(MODEL + RUN))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("millstream.ConfigError: model 'm' pool='processes': a process of its own")
    assert "Can't get attribute 'Mean'" in last
    assert "top level of a module or script" in last


@pytest.mark.parametrize("form", [["-c"], ["-i", "-"], ["-"]])
def test_a_model_that_was_typed_in_is_refused_with_what_to_do(form: list[str]) -> None:
    code = DECLARED + MODEL.replace("\n\n", "\n") + RUN
    arguments, given = (["-c", code], "") if form == ["-c"] else (form, code)
    done = subprocess.run(
        [sys.executable, *arguments], input=given, capture_output=True, text=True, timeout=100, check=False
    )
    assert "ConfigError: model 'm' pool='processes': the model was defined in a notebook, at a" in done.stderr
    assert "move it into a file, models.py" in done.stderr


def test_no_process_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    program, started = start_staying(tmp_path)
    program.kill()
    program.communicate()
    assert len(started) >= 2
    assert wait_for_end(started) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_lets_the_running_call_finish(
    tmp_path: Path, number: signal.Signals
) -> None:
    program, started = start_staying(tmp_path)
    os.killpg(program.pid, number)
    time.sleep(1.5)  # time enough to take notice of the signal, however late it came
    (tmp_path / "enough").touch()
    out, err = program.communicate(timeout=100)
    assert (program.returncode, err) == (0, "")
    assert out == "ended 2 0\n"
    assert wait_for_end(started) == []


def test_a_second_signal_ends_a_call_that_hangs_and_its_process(tmp_path: Path) -> None:
    program, started = start_staying(tmp_path)
    # Two kinds: of one kind, the second is no signal while the first is pending.
    program.send_signal(signal.SIGINT)
    time.sleep(0.5)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=100)
    assert program.returncode == 143
    assert wait_for_end(started) == []


def test_a_process_that_ends_between_two_calls_is_replaced_and_no_window_is_blamed() -> None:
    app = App("app")
    killed: list[int] = []

    def kill_once(batch: WindowBatch) -> Any:
        for pid in descendants(os.getpid()):
            if not killed and Path(f"/proc/{pid}/comm").read_text().startswith("m-0"):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return batch.lengths

    app.model(READINGS, window=TUMBLING, sink="a", name="m", pool="processes", on_error="fail")(models.where)
    app.model(READINGS, window=TUMBLING, sink="b", name="killer")(kill_once)
    out = app.test({"readings": [reading(n * 10_000) for n in range(4)]})
    pids = [record.value["pid"] for record in out["a"] if isinstance(record.value, dict)]
    assert pids[0] == killed[0]
    assert len(pids) == 4
    assert len(set(pids)) == 2
    counted = app.metrics()["models"]["m"]
    assert (counted["workers_replaced"], counted["failed_calls"]) == (1, 0)
