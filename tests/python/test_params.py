"""Params of a run: they reach each `load` that takes them, and are refused where none does."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import READINGS, TUMBLING, readings
from millstream import App, ConfigError, WindowBatch, _params
from millstream.cli import main

FED = {"readings": readings(0)}


class Needs:
    def load(self, params: dict[str, Any]) -> None:
        self.params = params

    def predict(self, batch: WindowBatch) -> list[Any]:
        return [json.dumps(self.params)] * len(batch)


class Takes(Needs):
    def load(self, path: str = "x", params: dict[str, Any] | None = None) -> None:  # type: ignore[override]
        self.params = {"path": path, "params": params}


class Without(Needs):
    def load(self, path: str = "x") -> None:  # type: ignore[override]
        self.params = {"path": path}


def app_of(*models: type) -> App:
    app = App("app")
    for model in models:
        app.model(source=READINGS, window=TUMBLING, sink=model.__name__)(model)
    return app


def said(out: Any, sink: str) -> Any:
    (record,) = out[sink]
    return json.loads(record.value["prediction"])


def test_params_reach_every_load_that_takes_them() -> None:
    given = {"path": "model.bin", "k": 3}
    out = app_of(Needs, Takes, Without).test(FED, params=given)
    assert said(out, "Needs") == given
    assert said(out, "Takes") == {"path": "x", "params": given}
    assert said(out, "Without") == {"path": "x"}


def test_each_load_has_a_dict_of_its_own() -> None:
    class Greedy(Needs):
        def load(self, params: dict[str, Any]) -> None:
            params.clear()
            self.params = params

    given = {"k": 3}
    assert said(app_of(Greedy, Needs).test(FED, params=given), "Needs") == {"k": 3}
    assert given == {"k": 3}


def test_a_load_has_its_own_default_without_params() -> None:
    assert said(app_of(Takes).test(FED), "Takes") == {"path": "x", "params": None}


def test_a_load_that_needs_params_says_so_before_anything_is_loaded() -> None:
    with pytest.raises(
        ConfigError, match=r"model 'Needs' load\(self, params\) needs params; write app\.run\("
    ):
        app_of(Without, Needs).test(FED)
    assert said(app_of(Needs).test(FED, params={}), "Needs") == {}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"k": 1}, r"params=\['k'\]: are taken by no model.*def load\(self, params\)"),
        ([1], r"params: a list is not a dict"),
        ({1: 2}, r"params: a dict is not a dict with names"),
    ],
)
def test_params_that_cannot_be_given_are_refused(params: Any, message: str) -> None:
    for run in (app_of(Without).run, lambda params: app_of(Without).test(FED, params=params)):
        with pytest.raises(ConfigError, match=r"App\.run\(\) " + message):
            run(params=params)


def test_no_value_of_a_param_is_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        app_of(Without).run(params={"token": "hunter2"})
    with pytest.raises(ConfigError) as twice:
        _params.parse(["token=1", "token=hunter2"])
    assert "hunter2" not in f"{refused.value} {twice.value}"


def test_the_command_line_reads_json_and_takes_the_rest_as_text() -> None:
    assert _params.parse(["a=1", "b=true", 'c={"d": [1.5]}', "e=model.bin", "f=", "g=x=y", 'h="1"']) == {
        "a": 1,
        "b": True,
        "c": {"d": [1.5]},
        "e": "model.bin",
        "f": "",
        "g": "x=y",
        "h": "1",
    }
    assert _params.parse([]) is None
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(ConfigError, match=r"--param="):
            _params.parse(wrong)


def test_the_command_gives_params_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(App, "_run", lambda self, until, **options: given.append(options["params"]))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "app_with_params.py").write_text(
        "from millstream import *\n"
        "app = App('app')\n"
        "@app.model(Topic('in', fields=['v']), window=TumblingWindow('10s', grace='0s'), sink='out')\n"
        "class M:\n"
        "    def load(self, params): ...\n"
        "    def predict(self, batch): ...\n"
    )
    result = CliRunner().invoke(main, ["run", "app_with_params:app", "--param", "k=3", "--param", "p=a b"])
    assert result.exit_code == 0, result.output
    assert given == [{"k": 3, "p": "a b"}]
    result = CliRunner().invoke(main, ["run", "app_with_params:app", "--param", "k"])
    assert result.exit_code != 0
    assert "--param='k': has no name or no value" in result.output
