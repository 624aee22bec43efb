"""`millstream run`: what it prints, and the exit code of every way to end. The engine is a double here."""

import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from millstream import ConfigError, KafkaError, ModelError, _app
from millstream.cli import main
from millstream.cli._screen import Screen

MODULE = """
from millstream import App, Topic, TumblingWindow

app = App("activity", brokers="[::1]:9092", kafka={"sasl.password": "hunter2"})
readings = Topic("watch.readings", timestamp="ts", fields=["ax", "ay"])
number = 3

@app.model(source=readings, window=TumblingWindow("1m30s", grace="5s"), sink="watch.activity")
def activity(batch):
    return batch.lengths
"""
METRICS: dict[str, Any] = {
    "consumed": 120_000,
    "dead_letters": 3,
    "late_pairs": 7,
    "windows": 12_000,
    "sources": {
        "watch.readings": {
            "dead_letters": {"not_json": 2, "bad_type": 1},
            "partitions": {0: {"lag": 5}, 1: {"lag": None}},
        }
    },
    "models": {
        "activity": {
            "windows_produced": 12_000,
            "windows_skipped": 0,
            "dead_letters": {},
            "batches": 48,
            "predict_seconds": 3.21,
            "predict_seconds_p99": 0.25,
            "late_pairs": 7,
        }
    },
}


class Engine:
    """A double that records its options and ends as told."""

    runs: tuple[Callable[[], None], ...] = ()
    options: tuple[dict[str, Any], ...] = ()

    def __init__(self, plan: str, hooks: list[Any]) -> None: ...

    def run(self, **options: Any) -> None:
        type(self).options += (options,)
        for step in self.runs:
            step()

    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def serve(self, web: str) -> None: ...

    def metrics(self) -> dict[str, Any]:
        return METRICS


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    class Fresh(Engine):
        pass

    monkeypatch.setattr(_app, "Engine", Fresh)
    return Fresh


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "pipeline.py").write_text(MODULE)
    (tmp_path / "needs_more.py").write_text("import no_such_module_anywhere\n")
    (tmp_path / "wrong.py").write_text('from millstream import App\napp = App("x", lanes=0)\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("pipeline", "needs_more", "wrong"):
        sys.modules.pop(name, None)


def millstream(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def raising(error: BaseException) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


def test_it_runs_the_app_with_the_options_given(engine: type[Engine]) -> None:
    assert millstream("run", "pipeline:app").exit_code == 0
    assert millstream("run", "pipeline:app", "--until", "end", "--drain").exit_code == 0
    assert [(o["until_end"], o["drain"]) for o in engine.options] == [(False, False), (True, True)]


@pytest.mark.usefixtures("engine")
def test_the_banner_says_what_runs_and_no_secret() -> None:
    output = millstream("run", "pipeline:app").stderr
    for said in (
        "activity",
        "[::1]:9092",
        "exactly_once",
        "watch.readings (ax, ay)",
        "1m30s every 1m30s, grace 5s -> watch.activity",
    ):
        assert said in output
    assert "hunter2" not in output


@pytest.mark.usefixtures("engine")
def test_the_summary_says_what_came_of_it() -> None:
    output = millstream("run", "pipeline:app").stderr
    assert "120,000 events, 12,000 windows, 7 late, 3 dead letters (bad_type 1, not_json 2), lag 5" in output
    assert "activity: 12,000 windows in 48 calls of 3.2 s in all (p99 250.0 ms), 7 late, 0 skipped" in output


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("pipeline", "write module:app"),
        ("pipeline.py:app", "write its module: pipeline:app"),
        ("missing:app", "there is no module 'missing'"),
        ("pipeline.sub:app", "there is no module 'pipeline.sub'"),
        ("pipeline:other", "module 'pipeline' has no 'other'"),
        ("pipeline:number", "'pipeline:number' is an int, not an App"),
        ("wrong:app", "App('x') lanes=0"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(target: str, message: str) -> None:
    result = millstream("run", target)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.usefixtures("engine")
def test_drain_without_an_end_is_a_mistake() -> None:
    result = millstream("run", "pipeline:app", "--drain")
    assert result.exit_code == 2
    assert "--until end" in result.stderr


def test_an_import_that_the_module_lacks_keeps_its_traceback() -> None:
    result = millstream("run", "needs_more:app")
    assert result.exit_code == 1
    assert "ModuleNotFoundError: No module named 'no_such_module_anywhere'" in result.stderr
    assert 'needs_more.py", line 1' in result.stderr
    assert "importlib" not in result.stderr


def test_a_refusal_by_the_engine_is_a_mistake_without_a_summary(engine: type[Engine]) -> None:
    engine.runs = (raising(ConfigError("sink 'x': has no such partition")),)
    result = millstream("run", "pipeline:app")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: sink 'x': has no such partition\n")
    assert "120,000" not in result.stderr


def test_an_error_of_the_run_is_one_line_after_the_summary_and_code_1(engine: type[Engine]) -> None:
    engine.runs = (raising(KafkaError("no broker answered")),)
    result = millstream("run", "pipeline:app")
    assert result.exit_code == 1
    assert "120,000 events" in result.stderr
    assert result.stderr.endswith("Error: no broker answered\n")


def test_a_models_exception_keeps_its_traceback_and_is_code_1(engine: type[Engine]) -> None:
    engine.runs = (raising(ZeroDivisionError("in the model")),)
    result = millstream("run", "pipeline:app")
    assert result.exit_code == 1
    assert "in step" in result.stderr
    assert result.stderr.endswith("ZeroDivisionError: in the model\n")
    assert "millstream/cli" not in result.stderr


def test_a_model_that_ended_the_run_is_one_line_after_its_own_traceback(engine: type[Engine]) -> None:
    def step() -> None:
        try:
            raising(ZeroDivisionError("in the model"))()
        except ZeroDivisionError as cause:
            raise ModelError("model activity failed on every window") from cause

    engine.runs = (step,)
    result = millstream("run", "pipeline:app")
    assert result.exit_code == 1
    assert "ZeroDivisionError: in the model\nError: model activity failed on every window" in result.stderr


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT], 0),
        ([signal.SIGTERM], 0),
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM, signal.SIGTERM], 143),
    ],
)
def test_the_first_signal_ends_well_and_the_second_says_which(
    engine: type[Engine], signals: list[signal.Signals], code: int
) -> None:
    engine.runs = tuple(partial(signal.raise_signal, number) for number in signals)
    result = millstream("run", "pipeline:app")
    assert result.exit_code == code
    assert "Aborted" not in result.stderr


def test_progress_is_one_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    counts = {**METRICS, "consumed": 0, "windows": 0}
    screen = Screen(Console(), lambda: counts, lambda: now[0])
    for second in range(1, 31):
        now[0] = 100.0 + second
        counts |= {"consumed": 5_000 * second, "windows": 20 * second}
        screen.tick()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["5,000 events/s  20 windows/s  late 7  dead letters 3  lag 5"] * 3


def test_help_and_version_answer() -> None:
    assert "MODULE:APP" in millstream("run", "--help").stdout
    assert "run" in millstream("--help").stdout
