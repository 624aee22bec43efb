"""Models that would take the process over: forks, signal handlers, sys.exit. Each stays a model."""

import logging
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from harness import READINGS, TUMBLING, headers, reading
from millstream import App, ModelError, WindowBatch

FED = {"readings": [reading(0, key=key) for key in "abcd"]}


def app_of(model: Any, **options: Any) -> App:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="results", name="m", **options)(model)
    return app


def raising(error: BaseException) -> Any:
    def predict(batch: WindowBatch) -> Any:
        if "b" in batch.keys:
            raise error
        return batch.lengths

    return predict


def test_sys_exit_in_predict_is_a_failure_like_any_other() -> None:
    out = app_of(raising(SystemExit(3))).test(FED)
    assert len(out["results"]) == 3
    (dead,) = out["app.dead-letter"]
    assert headers(dead)["detail"] == "SystemExit: 3"


@pytest.mark.parametrize("error", [GeneratorExit(), BaseException("odd"), StopIteration(1)])
def test_what_python_uses_for_itself_is_a_failure_like_any_other(error: BaseException) -> None:
    out = app_of(raising(error)).test(FED)
    assert len(out["results"]) == 3
    assert len(out["app.dead-letter"]) == 1


def test_nothing_that_a_model_raises_steers_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    out = app_of(raising(ValueError("a\nb\x1b[31mc\x00d"))).test(FED)
    (dead,) = out["app.dead-letter"]
    assert headers(dead)["detail"] == "ValueError: a b\ufffd[31mc\ufffdd"
    assert caplog.records
    assert all("\x1b" not in record.getMessage() for record in caplog.records)


def test_a_long_key_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def never(batch: WindowBatch) -> Any:
        raise ValueError("never")

    app_of(never).test({"readings": [reading(0, key="k" * 100_000)]})
    assert any('"kkk' in record.getMessage() for record in caplog.records)
    assert all(len(record.getMessage()) < 1_000 for record in caplog.records)


def test_sys_exit_does_not_end_the_program_where_failures_end_the_run() -> None:
    with pytest.raises(ModelError, match=r"model m raised: SystemExit: 0") as caught:
        app_of(raising(SystemExit(0)), on_error="fail").test(FED)
    assert isinstance(caught.value.__cause__, SystemExit)


def test_an_interrupt_is_the_models_own_where_no_signal_can_have_raised_it() -> None:
    out: list[Any] = []

    def run() -> None:
        out.append(app_of(raising(KeyboardInterrupt())).test(FED))
        with pytest.raises(ModelError, match="model m raised: KeyboardInterrupt"):
            app_of(raising(KeyboardInterrupt()), on_error="fail").test(FED)
        out.append("raised")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(out[0]["app.dead-letter"]) == 1
    assert out[1] == "raised"


def test_an_interrupt_on_the_main_thread_ends_the_test() -> None:
    with pytest.raises(KeyboardInterrupt):
        app_of(raising(KeyboardInterrupt())).test(FED)


@pytest.mark.parametrize("call", ["__init__", "load", "warmup", "close"])
def test_sys_exit_around_predict_is_an_error_that_names_the_call(call: str) -> None:
    class Model:
        def predict(self, batch: WindowBatch) -> Any:
            return batch.lengths

    setattr(Model, call, lambda self, batch=None: sys.exit("bye"))
    with pytest.raises(ModelError, match=rf"{call} of model 'm' ended the program with SystemExit\('bye'\)"):
        app_of(Model).test(FED)


def test_signal_handlers_that_a_model_changes_are_put_back_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Model:
        def load(self) -> None:
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)

        def predict(self, batch: WindowBatch) -> Any:
            return batch.lengths

    before, other = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    try:
        with caplog.at_level(logging.WARNING, "millstream.model"):
            app_of(Model).test(FED)
        assert signal.getsignal(signal.SIGTERM) is before
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGUSR1, other)
    assert "load of model 'm' changed the handler of SIGTERM" in caplog.text


def test_predict_of_a_run_cannot_change_signal_handlers() -> None:
    out: list[Any] = []

    def predict(batch: WindowBatch) -> Any:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    before = signal.getsignal(signal.SIGTERM)
    # As in a run, where a model is called on threads of its own.
    thread = threading.Thread(target=lambda: out.append(app_of(predict).test(FED)))
    thread.start()
    thread.join()
    assert len(out[0]["app.dead-letter"]) == 4
    assert headers(out[0]["app.dead-letter"][0])["detail"].startswith("ValueError: signal only works in main")
    assert signal.getsignal(signal.SIGTERM) is before


FORKS = """
import os, sys, warnings
warnings.simplefilter("ignore")
from millstream import App, Record, Topic, TumblingWindow

app, children = App("app"), []

class Model:
    def load(self):
        WHERE == "load" and self.fork()

    def predict(self, batch):
        WHERE == "predict" and self.fork()
        return batch.lengths

    def fork(self):
        child = os.fork()
        if child:
            children.append(child)
        else:
            END

window, source = TumblingWindow("10s", grace="0s"), Topic("readings", timestamp="ts", fields=["v"])
app.model(source=source, window=window, sink="results", name="m")(Model)
out = app.test({"readings": [Record({"ts": 0, "v": 1}, key="a")]})
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(len(out["results"]), codes, flush=True)
"""


@pytest.mark.parametrize("where", ["load", "predict"])
@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("pass", 1, "a child that model 'm' has forked returned, and was ended; end it with os._exit"),
        ("1 / 0", 1, "has forked raised ZeroDivisionError('division by zero'), and was ended"),
        ("sys.exit(5)", 5, ""),
        ("os._exit(6)", 6, ""),
    ],
)
def test_a_child_that_a_model_forks_never_goes_on_as_the_engine(
    where: str, end: str, code: int, said: str
) -> None:
    program = FORKS.replace("WHERE", repr(where)).replace("END", end)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"1 [{code}]"]
    assert said in done.stderr
    assert bool(done.stderr) == bool(said)


CANCELLED = """
import asyncio, os, signal, sys, time
from millstream import App, Topic, TumblingWindow
from millstream._core import EmbeddedBroker, Producer

broker = EmbeddedBroker.get()
broker.create_topic("readings", 1)
producer = Producer(broker.brokers)
begin = int(time.time()) * 1_000 - 60_000
for ts in range(begin, begin + 60_000, 1_000):
    producer.send("readings", b'{"ts": %d, "v": 1}' % ts, key=b"a")
producer.flush()
producer.close()
app = App("app", brokers="embedded", drain_timeout="200ms")
readings = Topic("readings", timestamp="ts", timestamp_unit="ms", fields=["v"])

@app.model(source=readings, window=TumblingWindow("10s", grace="0s"), sink="results")
class Model:
    async def predict(self, batch):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(3600)
        finally:
            print("cancelled", flush=True)

    async def close(self):
        await asyncio.sleep(0)
        print("closed", flush=True)

app.run()
print("returned", flush=True)
"""


def test_an_abort_cancels_what_an_async_model_awaits() -> None:
    done = subprocess.run([sys.executable, "-c", CANCELLED], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["cancelled", "closed", "returned"], done.stderr
    assert "left behind" not in done.stderr


def test_a_pause_of_the_whole_process_does_not_hurry_an_abort() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CANCELLED], stdout=pipe, stderr=pipe, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "cancelled\n"
        program.send_signal(signal.SIGSTOP)
        time.sleep(2.5)  # longer than an abort waits
        program.send_signal(signal.SIGCONT)
        assert program.stdout.read() == "closed\nreturned\n"
        assert program.stderr is not None
        assert "left behind" not in program.stderr.read()
