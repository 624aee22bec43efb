"""`app.start()`, `app.stop()`, `with app:`: they do not block, lose no error and leave no thread behind."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness import READINGS, TUMBLING, recording_app
from millstream import App, ConfigError, MillstreamError, Topic, WindowBatch, _app, _background
from millstream.embedded import Consumer, EmbeddedBroker, Producer

WAIT_S = 60.0


class Engine:
    """A double that runs until it is stopped, or ends with an error."""

    error: BaseException | None = None
    deaf = False

    def __init__(self, plan: str, hooks: list[Any]) -> None:
        self.calls: list[str] = []
        self.options: dict[str, Any] = {}
        self.thread = ""
        self._ended = threading.Event()

    def run(self, **options: Any) -> None:
        self.options = options
        self.thread = threading.current_thread().name
        if self.error is not None:
            raise self.error
        assert self._ended.wait(WAIT_S)

    def stop(self) -> None:
        self.calls.append("stop")
        if not self.deaf:
            self._ended.set()

    def abort(self) -> None:
        self.calls.append("abort")
        self._ended.set()

    def metrics(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    class Fresh(Engine):
        pass

    monkeypatch.setattr(_app, "Engine", Fresh)
    return Fresh


@pytest.fixture
def app(engine: type[Engine]) -> App:
    return recording_app()[0]


def double(app: App) -> Engine:
    found: Any = app._engine
    assert isinstance(found, Engine)
    return found


def until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def run_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("millstream-run")]


def test_start_returns_while_the_run_goes_on_and_stop_joins_its_thread(app: App) -> None:
    app.start(adopt=True)
    until(lambda: double(app).thread != "")
    assert double(app).thread == "millstream-run-app"
    assert double(app).options == {"until_end": False, "drain": False, "adopt": True, "tick": None}
    app.stop()
    assert double(app).calls == ["stop"]
    assert run_threads() == []


def test_stop_may_come_before_a_start_and_twice_after_it(app: App) -> None:
    app.stop()
    app.start()
    app.stop()
    app.stop()
    assert run_threads() == []


def test_it_can_be_started_again(app: App) -> None:
    for _ in range(3):
        with app:
            assert run_threads() == ["millstream-run-app"]
    assert run_threads() == []


def test_while_it_runs_every_other_run_is_refused(app: App) -> None:
    with app:
        for second in (app.start, app.run, lambda: app.test({})):
            with pytest.raises(MillstreamError, match=r"App\('app'\) is already running; stop it"):
                second()


def test_a_wrong_plan_is_refused_by_start_itself_and_leaves_it_stopped(engine: type[Engine]) -> None:
    app = App("app")
    for _ in range(2):
        with pytest.raises(ConfigError, match="no model"):
            app.start()


def test_an_error_of_the_run_is_logged_at_once_and_raised_by_stop_once(
    app: App, engine: type[Engine], caplog: pytest.LogCaptureFixture
) -> None:
    engine.error = ZeroDivisionError("in the model")
    app.start()
    until(lambda: bool(caplog.records))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("millstream.run", logging.ERROR)
    assert record.getMessage() == "App('app') has ended with an error: ZeroDivisionError: in the model"
    assert vars(record)["app"] == "app"
    assert record.exc_info is not None
    with pytest.raises(ZeroDivisionError, match="in the model"):
        app.stop()
    app.stop()


def test_the_end_of_a_with_block_raises_the_error_of_the_run(app: App, engine: type[Engine]) -> None:
    engine.error = OSError("the run's")
    with pytest.raises(OSError, match="the run's"), app:
        pass


def test_an_error_of_the_block_is_not_hidden_by_that_of_the_run(app: App, engine: type[Engine]) -> None:
    engine.error = OSError("the run's")
    with pytest.raises(KeyError) as caught, app:
        raise KeyError("the block's")
    assert caught.value.__notes__ == ["App('app') had ended with OSError: the run's"]


def test_a_stop_that_takes_longer_than_its_timeout_gives_the_run_up(
    app: App, engine: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.deaf = True
    monkeypatch.setattr(_background, "_GIVEN_UP_S", WAIT_S)
    app.start()
    app.stop(timeout="10ms")
    assert double(app).calls == ["stop", "abort"]


def test_a_model_that_does_not_return_is_named_as_the_reason(
    app: App, engine: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    monkeypatch.setattr(_background, "_GIVEN_UP_S", 0.01)
    monkeypatch.setattr(engine, "run", lambda self, **options: held.wait(WAIT_S))
    app.start()
    with pytest.raises(MillstreamError, match=r"has not stopped: a model is in a call or load\(\)"):
        app.stop(timeout="10ms")
    held.set()
    app.stop()


def test_a_timeout_without_a_unit_is_refused(app: App) -> None:
    with pytest.raises(ConfigError, match=r"App\.stop\(\) timeout=5: is a bare number"):
        app.stop(timeout=5)  # type: ignore[arg-type]


def define(app: App, says: str) -> Callable[[WindowBatch], Any]:
    """Register what a cell would that is run again."""

    @app.model(source=READINGS, window=TUMBLING, sink=says)
    def cell(batch: WindowBatch) -> Any:
        return batch.lengths

    return cell


def test_a_model_that_is_defined_again_takes_the_place_of_its_earlier_definition() -> None:
    app, _ = recording_app()
    define(app, "before")
    app.model(source=READINGS, window=TUMBLING, sink="last", name="z")(lambda batch: batch.lengths)
    define(app, "after")
    assert [(model.name, model.sink) for model in app._models] == [
        ("m", "results"),
        ("cell", "after"),
        ("z", "last"),
    ]


def test_a_model_cannot_be_defined_again_while_it_runs(app: App) -> None:
    define(app, "before")
    with (
        app,
        pytest.raises(ConfigError, match=r"name='cell': is a model of App\('app'\), which is running; call"),
    ):
        define(app, "after")
    define(app, "after")


@pytest.mark.parametrize("other", [lambda batch: batch.lengths, print], ids=["a lambda", "another function"])
def test_another_function_under_a_taken_name_is_refused(other: Callable[..., Any]) -> None:
    app = App("app")
    for target, refused in ((lambda batch: batch.lengths, False), (other, True)):
        register = app.model(source=READINGS, window=TUMBLING, sink="out", name="m")
        if refused:
            with pytest.raises(ConfigError, match="is taken by another model"):
                register(target)
        else:
            register(target)


def fill(topic: str, seconds: int = 60) -> None:
    broker = EmbeddedBroker.get()
    broker.create_topic(topic, 1)
    producer = Producer(broker.brokers)
    begin = 1_764_000_000_000
    for second in range(seconds):
        producer.send(topic, json.dumps({"ts": begin + second * 1_000, "v": second}).encode(), key=b"a")
    producer.flush()
    producer.close()


def test_results_come_while_the_block_does_something_else() -> None:
    fill("started.readings")
    app = App("started", brokers="embedded")
    recorder: list[int] = []
    source = Topic("started.readings", timestamp="ts", timestamp_unit="ms", fields=["v"], idle_timeout=None)

    @app.model(source=source, window=TUMBLING, sink="started.results")
    def lengths(batch: WindowBatch) -> Any:
        recorder.extend(batch.starts.tolist())
        return batch.lengths

    with app:
        found: list[Any] = []
        until(lambda: len(recorder) >= 5)
        reader = Consumer(EmbeddedBroker.get().brokers, "started.results")
        give_up = time.monotonic() + WAIT_S
        while len(found) < 5 and time.monotonic() < give_up:
            found += reader.poll()
        reader.close()
    # The sixth is open, and stays so for the next run.
    assert [json.loads(record[3])["prediction"] for record in found] == [10] * 5
    assert app.metrics()["windows"] == 5
    assert run_threads() == []


AT_EXIT = """
import json, sys, threading
from millstream import App, Topic, TumblingWindow
from millstream.embedded import EmbeddedBroker, Producer

broker = EmbeddedBroker.get()
broker.create_topic("readings", 1)
producer = Producer(broker.brokers)
for ts in range(1_764_000_000_000, 1_764_000_060_000, 1_000):
    producer.send("readings", b'{"ts": %d, "v": 1}' % ts, key=b"a")
producer.flush()
producer.close()
app, called = App("app", brokers="embedded"), threading.Event()

class Model:
    def predict(self, batch):
        called.set()
        return batch.lengths
    def close(self):
        names = [thread.name for thread in threading.enumerate()]
        print("closed", [name for name in names if name.startswith("millstream-run")], flush=True)

app.model(
    source=Topic("readings", timestamp="ts", timestamp_unit="ms", fields=["v"]),
    window=TumblingWindow("10s", grace="0s"),
    sink="results",
)(Model)
app.start()
assert called.wait(60)
BODY
print("end of the program", flush=True)
"""


@pytest.mark.parametrize(("body", "code"), [("", 0), ("sys.exit(3)", 3), ("raise OSError('mine')", 1)])
def test_a_program_that_ends_stops_its_apps_first(body: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT.replace("BODY", body)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1] == "closed ['millstream-run-app']"
    assert ("end of the program" in done.stdout) is (code == 0)
    assert ("Traceback" in done.stderr) is (code == 1)


@pytest.mark.parametrize(("name", "partitions"), [("", 1), ("a b", 1), ("t", 0), ("t", -1), ("t", 10**9)])
def test_the_embedded_broker_makes_no_topic_that_there_cannot_be(name: str, partitions: int) -> None:
    with pytest.raises(ConfigError, match=r"create_topic\(.*1 to 10000 partitions"):
        EmbeddedBroker.get().create_topic(name, partitions)
