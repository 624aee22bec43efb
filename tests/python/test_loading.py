"""Loading a model: told of while it lasts, given up in time, its error shown before anything is read."""

import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from harness import READINGS, TUMBLING, readings
from millstream import App, ModelError, WindowBatch, _loading

FED = {"readings": readings(0)}


class Model:
    """A model that can be made to wait in a call."""

    closed: list[str]
    go_on: threading.Event

    def load(self) -> None: ...

    def warmup(self, batch: WindowBatch) -> None: ...

    def predict(self, batch: WindowBatch) -> Any:
        return [threading.current_thread().name] * len(batch)

    def close(self) -> None:
        self.closed.append("closed")


@pytest.fixture
def model() -> type[Model]:
    class Fresh(Model):
        pass

    Fresh.closed, Fresh.go_on = [], threading.Event()
    return Fresh


def app_of(model: Any, **options: Any) -> App:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="results", name="m", **options)(model)
    return app


@pytest.mark.parametrize(("call", "closed"), [("load", []), ("warmup", [])])
def test_a_load_that_takes_too_long_ends_the_run_and_is_left_alone(
    model: type[Model], call: str, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = _loading._tell

    def tell_of(name: str, of: str, done: threading.Event, limit_s: float) -> bool:
        # On a slow machine any call may take that long; here one of them does.
        return tell(name, of, done, limit_s if of == call else 60.0)

    monkeypatch.setattr(_loading, "_tell", tell_of)
    setattr(model, call, lambda self, batch=None: self.go_on.wait())
    with pytest.raises(ModelError, match=rf"{call} of model 'm' has not returned within load_timeout=500ms"):
        app_of(model, load_timeout="500ms").test(FED)
    assert model.closed == closed
    model.go_on.set()


def test_a_load_in_time_is_as_any_other(model: type[Model]) -> None:
    loaded_on: list[str] = []
    setattr(model, "load", lambda self: loaded_on.append(threading.current_thread().name))  # noqa: B010
    assert len(app_of(model, load_timeout="60s").test(FED)["results"]) == 1
    assert loaded_on == ["millstream-load-m"]
    assert model.closed == ["closed"]


@pytest.mark.parametrize("options", [{}, {"load_timeout": "60s"}])
@pytest.mark.parametrize("call", ["load", "warmup"])
def test_an_exception_in_load_is_raised_as_it_is(
    model: type[Model], call: str, options: dict[str, Any]
) -> None:
    def broken(self: Any, batch: Any = None) -> None:
        raise OSError("no such file: weights")

    setattr(model, call, broken)
    with pytest.raises(OSError, match="weights"):
        app_of(model, **options).test(FED)
    assert model.closed == ([] if call == "load" else ["closed"])


@pytest.mark.parametrize("options", [{}, {"load_timeout": "60s"}])
def test_a_long_load_is_told_of_again_and_again(
    model: type[Model],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(_loading, "_TELL_S", 0.01)

    class Count(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            if len(said) == 3:
                model.go_on.set()

    setattr(model, "load", lambda self: self.go_on.wait())  # noqa: B010
    logger, handler = logging.getLogger("millstream.model"), Count()
    logger.addHandler(handler)
    try:
        app_of(model, **options).test(FED)
    finally:
        logger.removeHandler(handler)
    # Of what comes then there may be lines too, where it is held up for so long.
    assert len(said) >= 3
    assert all(line.startswith("load of model 'm' has been running for") for line in said[:3])


BROKEN = """
import sys, time
from millstream import App, MillstreamError, Topic, TumblingWindow
from millstream._core import EmbeddedBroker, Producer

broker = EmbeddedBroker.get()
broker.create_topic("readings", 1)
producer = Producer(broker.brokers)
begin = int(time.time()) * 1_000 - 60_000
for ts in range(begin, begin + 60_000, 1_000):
    producer.send("readings", b'{"ts": %d, "v": 1}' % ts, key=b"a")
producer.flush()
producer.close()
whole = [True]

def app():
    app = App("app", brokers="embedded")
    readings = Topic("readings", timestamp="ts", timestamp_unit="ms", fields=["v"])

    limit, window = None if whole[0] else LIMIT, TumblingWindow("10s", grace="0s")

    @app.model(source=readings, window=window, sink="results", load_timeout=limit)
    class Model:
        def load(self):
            if not whole[0]:
                BODY

        def predict(self, batch):
            return batch.lengths

    return app

whole[0] = False
broken = app()
try:
    broken.run(until="end")
except BaseException as error:
    print(type(error).__name__, error, flush=True)
print(broken.metrics()["consumed"], flush=True)
whole[0] = True
again = app()
again.run(until="end", drain=True)
print(again.metrics()["consumed"], flush=True)
"""


@pytest.mark.parametrize(
    ("body", "limit", "message"),
    [
        ("raise OSError('no weights')", None, "OSError no weights"),
        ("sys.exit(3)", None, "ModelError load of model 'Model' ended the program with SystemExit(3)"),
        (
            "time.sleep(3600)",
            "100ms",
            "ModelError load of model 'Model' has not returned within load_timeout",
        ),
    ],
)
def test_a_model_that_does_not_load_leaves_everything_for_the_next_run(
    body: str, limit: str | None, message: str
) -> None:
    code = BROKEN.replace("BODY", body).replace("LIMIT", repr(limit))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    error, consumed, later = done.stdout.splitlines()
    assert error.startswith(message)
    assert (consumed, later) == ("0", "60")
