"""`App.run()` around the engine: arguments, signals, one run at a time. The engine is a double here."""

import json
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness import recording_app
from millstream import App, ConfigError, MillstreamError, _app


class Engine:
    """A double that sends itself signals while it runs."""

    signals: tuple[signal.Signals, ...] = ()
    error: Exception | None = None
    jobs: tuple[Callable[[], None], ...] = ()

    def __init__(self, plan: str, hooks: list[Any]) -> None:
        self.plan = json.loads(plan)
        self.calls: list[Any] = []

    def run(self, **options: Any) -> None:
        self.calls.append(options)
        for number in self.signals:
            signal.raise_signal(number)
        for job in self.jobs:
            job()
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        self.calls.append("stop")

    def abort(self) -> None:
        self.calls.append("abort")

    def metrics(self) -> dict[str, Any]:
        return {"consumed": len(self.calls)}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    class Fresh(Engine):
        pass

    monkeypatch.setattr(_app, "Engine", Fresh)
    return Fresh


@pytest.fixture
def app() -> App:
    return recording_app()[0]


def calls(app: App) -> list[Any]:
    engine: Any = app._engine
    found: list[Any] = engine.calls
    return found


def handlers() -> list[Any]:
    return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]


@pytest.mark.usefixtures("engine")
def test_run_hands_its_arguments_to_the_engine(app: App) -> None:
    app.run(until="end", drain=True)
    assert calls(app) == [{"until_end": True, "drain": True, "adopt": False, "tick": None}]
    app.run()
    assert calls(app) == [{"until_end": False, "drain": False, "adopt": False, "tick": None}]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"until": "now"}, r"until='now': is not accepted; write \"end\""),
        ({"until": "end", "drain": 1}, r"drain=1: is an int"),
        ({"drain": True}, r"drain=True: has no end.*until=\"end\""),
    ],
)
def test_a_wrong_argument_names_setting_value_and_fix(
    app: App, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=r"App\.run\(\) " + message):
        app.run(**options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_in_order_and_run_returns(
    app: App, engine: type[Engine], number: signal.Signals
) -> None:
    before = handlers()
    engine.signals = (number,)
    app.run()
    assert calls(app)[1:] == ["stop"]
    assert handlers() == before


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_sigint_aborts_with_keyboard_interrupt(
    app: App, engine: type[Engine], first: signal.Signals
) -> None:
    before = handlers()
    engine.signals = (first, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        app.run()
    assert calls(app)[1:] == ["stop", "abort"]
    assert handlers() == before


def test_a_second_sigterm_aborts_with_exit_code_143(app: App, engine: type[Engine]) -> None:
    engine.signals = (signal.SIGTERM, signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        app.run()
    assert caught.value.code == 143


def test_a_second_signal_wins_over_an_exception_of_the_run(app: App, engine: type[Engine]) -> None:
    before = handlers()
    engine.signals = (signal.SIGINT, signal.SIGINT)
    engine.error = OSError("the model's own")
    with pytest.raises(KeyboardInterrupt):
        app.run()
    assert handlers() == before


def test_an_ignored_signal_stays_ignored(app: App, engine: type[Engine]) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        engine.signals = (signal.SIGTERM,)
        app.run()
        assert calls(app)[1:] == []
    finally:
        signal.signal(signal.SIGTERM, before)


def test_off_the_main_thread_signals_are_left_alone(app: App, engine: type[Engine]) -> None:
    seen: list[Any] = []
    engine.jobs = (lambda: seen.extend(handlers()),)
    thread = threading.Thread(target=app.run)
    thread.start()
    thread.join()
    assert seen == handlers()


def test_a_second_run_at_the_same_time_is_refused(app: App, engine: type[Engine]) -> None:
    seen: list[str] = []

    def again() -> None:
        for second in (app.run, lambda: app.test({})):
            try:
                second()
            except MillstreamError as error:
                seen.append(str(error))

    engine.jobs = (again,)
    app.run()
    assert len(seen) == 2
    assert all("App('app') is already running" in message for message in seen)
    engine.jobs = ()
    app.run()


@pytest.mark.usefixtures("engine")
def test_metrics_are_there_before_and_after_a_run(app: App) -> None:
    assert app.metrics() == {"consumed": 0}
    app.run()
    assert app.metrics() == {"consumed": 1}
