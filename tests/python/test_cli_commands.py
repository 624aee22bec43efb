"""What all commands have in common: an example, the App in either place, mistakes on one line, no secrets."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from millstream import _app, _core
from millstream.cli import main
from millstream.cli._screen import Screen

ROOT = Path(__file__).parents[2]
SECRET = "hunter2"
MODULE = f"""
from millstream import App, Topic, TumblingWindow

def make(model, **options):
    app = App("activity", **{{"kafka": {{"sasl.password": "{SECRET}"}}}} | options)
    readings = Topic("watch.readings", timestamp="ts", fields=["ax"])
    window = TumblingWindow("10s", grace="5s")
    app.model(source=readings, window=window, sink="watch.activity", name="activity")(model)
    return app

def fine(batch):
    return batch.lengths

class Broken:
    def load(self):
        raise ValueError("no such file: weights.bin")

    def predict(self, batch):
        return batch.lengths

class Needs:
    def load(self, params):
        self.limit = params["limit"] + 1

    def predict(self, batch):
        return batch.lengths

needs = make(Needs, brokers="embedded")
apart = make(fine, brokers="embedded")
apart.add_model(fine, source=Topic("watch.readings", timestamp="ts", fields=["ax"]), name="apart",
    window=TumblingWindow("10s", grace="5s"), sink="watch.apart", pool="processes")
scored = App("scored", brokers="embedded")
scored.batch(Topic("watch.readings", timestamp="ts", fields=["ax"]), sink="scores", name="fraud")(fine)
embedded = make(fine, brokers="embedded")
broken = make(Broken, brokers="embedded")
away = make(fine, brokers="127.0.0.1:9")
unusable = make(fine, brokers="127.0.0.1:9", kafka={{"linger.ms": "{SECRET}"}})
misspelt = make(fine, brokers="127.0.0.1:9", kafka={{"sasl.pasword": "{SECRET}"}})
"""
APP_COMMANDS = ("run", "check", "reset", "lag", "dlq show", "dlq replay", "dlq retry")


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "pipeline.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    level = logging.getLogger("millstream").level
    yield
    sys.modules.pop("pipeline", None)
    logging.getLogger("millstream").setLevel(level)


def millstream(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def commands(group: click.Group, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command there is, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join((*prefix, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))


@pytest.mark.parametrize("words", [words for words, _ in commands(main)])
def test_help_ends_with_an_example(words: str) -> None:
    result = millstream(*words.split(), "--help")
    assert result.exit_code == 0
    assert f"  millstream {words}" in result.stdout.partition("Example")[2]


@pytest.mark.parametrize(("words", "command"), list(commands(main)))
def test_every_command_and_option_is_in_the_reference(words: str, command: click.Command) -> None:
    about_all, *pages = (ROOT / "docs" / "cli.md").read_text().split("\n## ")
    (page,) = [page for page in pages if re.match(rf"`millstream {words}( [A-Z:.=\[\]]+)*`", page)]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[-1]}" in (about_all if "-A" in parameter.opts else page)


def test_the_shell_can_complete_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from millstream.cli import main; main(prog_name='millstream')"],
        env={"_MILLSTREAM_COMPLETE": "bash_complete", "COMP_WORDS": "millstream dlq re", "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.split() == ["plain,replay", "plain,retry"]


@pytest.mark.parametrize("words", APP_COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODULE:APP is missing"),
        (["pipeline:app", "-A", "pipeline:app"], "given twice"),
        (["-A", "pipeline"], "write module:app"),
        ([".pipeline:app"], "'.pipeline' is no module"),
        (["pipeline:absent"], "has no 'absent'"),
        (["pipeline:embedded", "--colour"], "No such option"),
    ],
)
def test_a_mistake_is_code_2_and_said_on_one_line(words: str, arguments: list[str], message: str) -> None:
    target = ["--to", "earliest"] if words == "reset" else []
    result = millstream(*words.split(), *arguments, *target)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_check_finds_what_only_the_producer_would_stumble_over() -> None:
    result = millstream("check", "pipeline:unusable", "--no-models")
    assert result.exit_code == 1
    assert result.stdout.startswith('error    settings      kafka["linger.ms"] was refused: ')
    assert SECRET not in result.output


@pytest.mark.parametrize("words", ["reset", "lag", "dlq show", "dlq replay", "dlq retry"])
def test_what_needs_a_cluster_says_so_of_the_embedded_broker(words: str) -> None:
    target = ["--to", "earliest"] if words == "reset" else []
    result = millstream(*words.split(), "pipeline:embedded", *target)
    assert result.exit_code == 2
    assert 'brokers="embedded" keeps nothing beyond its process' in result.stderr
    assert SECRET not in result.output


def test_a_broker_that_is_away_is_code_1_and_named() -> None:
    result = millstream("lag", "pipeline:away")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith('Error: no broker could be reached at "127.0.0.1:9"')
    assert SECRET not in result.output


@pytest.mark.parametrize("words", APP_COMMANDS)
def test_a_misspelt_setting_is_named_without_its_value(words: str) -> None:
    target = ["--to", "earliest"] if words == "reset" else []
    result = millstream(*words.split(), "pipeline:misspelt", *target)
    assert result.exit_code == (1 if words == "check" else 2)
    assert '"sasl.pasword"' in result.output
    assert SECRET not in result.output


@pytest.mark.parametrize("words", ["dlq show", "dlq replay"])
def test_a_reason_that_there_is_not_is_a_mistake(words: str) -> None:
    result = millstream(*words.split(), "pipeline:embedded", "--reason", "unlucky")
    assert result.exit_code == 2
    assert "--reason 'unlucky' is not one of too_large," in result.stderr


def test_check_loads_the_models_and_tells_which_raises() -> None:
    result = millstream("check", "pipeline:broken", "--json")
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    (error,) = [finding for finding in findings if finding["level"] == "error"]
    assert result.exit_code == 1
    assert (error["check"], error["subject"]) == ("models", "activity")
    assert "load or warmup raised ValueError: no such file: weights.bin" in error["text"]
    assert 'pipeline.py", line' in result.stderr
    assert "in load" in result.stderr
    assert "millstream/_hooks.py" not in result.stderr
    result = millstream("check", "pipeline:broken", "--no-models")
    assert result.exit_code == 0
    assert "models" not in result.stdout


def test_check_gives_params_to_the_models() -> None:
    result = millstream("check", "pipeline:needs")
    assert result.exit_code == 1
    assert "load(self, params) needs params" in result.stdout
    result = millstream("check", "pipeline:needs", "--param", "limit=x")
    assert (result.exit_code, "load or warmup raised TypeError" in result.stdout) == (1, True)
    result = millstream("check", "pipeline:needs", "--param", "limit=3")
    assert (result.exit_code, "model activity: loaded and warmed up" in result.stdout) == (0, True)


def test_check_loads_models_in_processes_where_a_run_would(tmp_path: Path) -> None:
    result = millstream("check", "pipeline:apart")
    assert result.exit_code == 0, result.output
    assert "model apart: loaded and warmed up" in result.stdout
    # Another process cannot import what this one has changed.
    (tmp_path / "pipeline.py").write_text("raise OSError('no weights')")
    result = millstream("check", "pipeline:apart")
    assert result.exit_code == 1
    assert "model 'apart' pool='processes': a process of its own cannot import the model" in result.stdout


def test_a_retry_without_the_params_that_a_model_needs_is_a_mistake() -> None:
    result = millstream("dlq", "retry", "pipeline:needs")
    assert (result.exit_code, "load(self, params) needs params" in result.stderr) == (2, True)
    result = millstream("dlq", "retry", "pipeline:needs", "--param", "limit")
    assert (result.exit_code, "--param='limit': has no name or no value" in result.stderr) == (2, True)


@pytest.mark.parametrize(("most", "code"), [("11", 0), ("10", 1)])
def test_lag_is_a_table_with_a_total(monkeypatch: pytest.MonkeyPatch, most: str, code: int) -> None:
    behind = [
        ("watch.readings", 0, 0, 1500, 1489, 1400, 1_000),
        ("watch.readings", 1, 5, 9, None, None, None),
    ]
    monkeypatch.setattr(_core, "lag", lambda plan: behind)
    result = millstream("lag", "pipeline:embedded", "--max", most)
    assert result.exit_code == code
    table = [line.split() for line in result.stdout.splitlines()]
    assert table[1][:6] == ["watch.readings", "0", "1,500", "1,489", "1,400", "11"]
    assert table[2] == ["watch.readings", "1", "9", "none", "none", "none", "none"]
    assert table[3] == ["total", "lag", "11"]
    assert ("watch.readings [0] is 11 behind" in result.stderr) == (code == 1)


class Engine:
    """A double that logs, and says what it was made of."""

    plan: ClassVar[dict[str, Any]] = {}

    def __init__(self, plan: str, hooks: list[object]) -> None:
        type(self).plan = json.loads(plan)

    def run(self, **options: object) -> None:
        logging.getLogger("millstream.kafka").info("started %s", "now")
        logging.getLogger("millstream.kafka").warning("broker away")

    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def serve(self, web: str) -> None: ...

    def metrics(self) -> dict[str, object]:
        return {"consumed": 3}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    monkeypatch.setattr(_app, "Engine", Engine)
    return Engine


def run_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, so that logging is set up by nobody else."""
    code = "from test_cli_commands import Engine; from millstream import _app; _app.Engine = Engine; "
    code += "from millstream.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "run", "pipeline:embedded", *arguments],
        env={"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_json_is_a_line_for_the_start_each_log_line_and_the_end() -> None:
    done = run_alone("--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["start", "log", "log", "summary"]
    assert (lines[0]["app"], lines[0]["topics"]) == ("activity", ["watch.readings"])
    assert (lines[1]["level"], lines[1]["logger"], lines[1]["message"]) == (
        "info",
        "millstream.kafka",
        "started now",
    )
    assert lines[3]["metrics"] == {"consumed": 3}
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in done.stdout


def test_quiet_is_warnings_alone() -> None:
    done = run_alone("--quiet")
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = done.stderr.splitlines()
    assert "broker away" in line


def test_set_and_lanes_go_before_the_code(engine: type[Engine]) -> None:
    settings = [
        "workers=4",
        "max_batch=8",
        "timeout=1m",
        "retries=2",
        "on_error=skip",
        "late=topic",
        "target=none",
    ]
    options = [word for setting in settings for word in ("--set", f"activity.{setting}")]
    result = millstream("run", "pipeline:embedded", "--quiet", "--lanes", "3", *options)
    assert result.exit_code == 0, result.stderr
    assert engine.plan["lanes"] == 3
    (model,) = engine.plan["models"]
    changed = {"workers": 4, "max_batch": 8, "timeout_ms": 60_000, "retries": 2, "on_error": "skip"}
    assert {**model, **changed, "late": "topic", "target_ms": None} == model


def test_models_of_events_have_settings_of_their_own(engine: type[Engine]) -> None:
    result = millstream("run", "pipeline:scored", "--quiet", "--set", "fraud.max_events=8")
    assert result.exit_code == 0, result.stderr
    assert engine.plan["models"][0]["max_batch"] == 8
    shown = StringIO()
    Screen(Console(file=shown), dict).banner(engine.plan)
    assert "fraud: watch.readings, every event -> scores" in shown.getvalue()
    result = millstream("run", "pipeline:scored", "--set", "fraud.late=topic")
    assert result.exit_code == 2
    assert "'late' cannot be set here; write one of max_events, workers," in result.stderr


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "workers=4"], "write MODEL.KEY=VALUE"),
        (["--set", "activity.workers"], "write MODEL.KEY=VALUE"),
        (["--set", "other.workers=4"], "there is no model 'other' in this app; write one of activity"),
        (["--set", "activity.colour=4"], "'colour' cannot be set here; write one of workers,"),
        (["--set", "activity.workers=four"], "--set activity.workers='four': is a str, not a whole number"),
        (["--set", "activity.workers=0"], "--set activity.workers=0: is out of range"),
        (["--set", "activity.timeout=5"], "--set activity.timeout='5': is not a duration"),
        (["--set", "activity.on_error=stop"], "is not accepted"),
        (["--lanes", "0"], "--lanes=0: is out of range"),
    ],
)
def test_a_wrong_override_is_code_2_and_says_what_to_write(arguments: list[str], message: str) -> None:
    result = millstream("run", "pipeline:embedded", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
