"""`millstream inspect` and `millstream dashboards`, and the pages that `run` and `demo` serve."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from millstream import App, _web
from millstream.cli import main
from millstream.cli._errors import Mistake
from millstream.cli._web import serve
from served import Served, poison
from test_status import NAMES

BEGIN = int(time.time()) // 10 * 10_000 - 60_000
_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served("inspected") as served:
        poison(served, BEGIN)
        yield served


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_inspect_shows_the_windows_and_events_of_a_key(served: Served) -> None:
    result = call("inspect", "--key", "a", "--url", served.url)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert re.fullmatch(r"inspected\.readings \[0\]  clock \S+Z  11 events", lines[0])
    assert re.fullmatch(r"  model mean  watermark \S+Z", lines[1])
    assert re.fullmatch(r"    open    \S+Z to \S+Z  11 events", lines[2])
    assert lines[4] == "  events: v"
    assert lines[-1].endswith("Z  59")


def test_inspect_gives_json_and_takes_keys_of_any_bytes(served: Served) -> None:
    said = json.loads(call("inspect", "--key", "61", "--hex", "--json", "--url", served.url).output)
    assert said["partitions"][0]["n_events"] == 11
    assert said["key"] == "a"


def test_inspect_says_so_where_nothing_is_held(served: Served) -> None:
    result = call("inspect", "--key", "nobody", "--url", served.url)
    assert (result.exit_code, result.output) == (1, 'no event of key "nobody" is in memory of this process\n')


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--key", "a", "--url", "localhost:6066"], 2, "is no URL; write http://127.0.0.1:6066"),
        (["--key", "a", "--url", "http://[::1"], 2, "is no URL; write http://127.0.0.1:6066"),
        (["--key", "a", "--url", "http://localhost:99999"], 2, "is no URL; write http://127.0.0.1:6066"),
        (["--key", "a", "--url", "http://me:hunter2@localhost:6066"], 2, "--url holds a user or a password"),
        (["--key", "\udcff", "--url", "http://127.0.0.1:1"], 1, "no status page answers"),
        (["--key", "a", "--url", "http://127.0.0.1:1"], 1, "no status page answers at http://127.0.0.1:1"),
        (["--key", ""], 2, "--key is empty"),
        ([], 2, "Missing option '--key'"),
    ],
)
def test_mistakes_of_inspect_are_one_line(arguments: list[str], code: int, text: str) -> None:
    result = call("inspect", *arguments)
    assert result.exit_code == code
    assert text in result.output
    assert "Traceback" not in result.output
    assert "hunter2" not in result.output


def test_inspect_says_what_the_server_refuses(served: Served) -> None:
    result = call("inspect", "--key", "zz", "--hex", "--url", served.url)
    assert result.exit_code == 1
    assert "answers 400: a key is at most 4096 bytes" in result.output


def test_inspect_gives_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_WEB_TOKEN", "0123456789abcdef")
    with Served("guarded") as served:
        assert "no event of key" in call("inspect", "--key", "a", "--url", served.url).output
        monkeypatch.delenv("MILLSTREAM_WEB_TOKEN")
        result = call("inspect", "--key", "a", "--url", served.url)
    assert result.exit_code == 1
    assert "answers 401: a token is needed" in result.output


def test_dashboards_name_only_metrics_and_labels_that_there_are(tmp_path: Path) -> None:
    result = call("dashboards", "export", str(tmp_path / "new"))
    assert result.exit_code == 0, result.output
    texts = [
        (tmp_path / "new" / name).read_text() for name in ("millstream-grafana.json", "millstream-alerts.yml")
    ]
    assert result.output.splitlines() == [
        str(path) for path in sorted((tmp_path / "new").iterdir(), reverse=True)
    ]
    expressions = [
        target["expr"] for panel in json.loads(texts[0])["panels"] for target in panel["targets"]
    ] + re.findall(r"^ +expr: (.*)$", texts[1], re.M)
    assert len(expressions) > 40
    for expression in expressions:
        named = re.findall(r"millstream_(\w+)", expression)
        assert named
        families = [name if name in NAMES else _HISTOGRAM.sub("", name) for name in named]
        known = set.intersection(*(NAMES[family] for family in families)) | {"le", "job", "instance"}
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert set(group.split(", ")) <= known, expression
        assert expression.count("(") == expression.count(")")


def test_alert_rules_are_whole(tmp_path: Path) -> None:
    call("dashboards", "export", str(tmp_path))
    text = (tmp_path / "millstream-alerts.yml").read_text()
    rules = text.split("      - alert: ")[1:]
    assert len({rule.splitlines()[0] for rule in rules}) == len(rules) == 10
    for rule in rules:
        names = re.findall(r"^ +(\w+):", rule, re.M)
        assert names == ["expr", "for", "labels", "severity", "annotations", "summary", "description"]


def test_export_replaces_nothing_unless_told_to(tmp_path: Path) -> None:
    assert call("dashboards", "export", str(tmp_path)).exit_code == 0
    assert call("dashboards", "export", str(tmp_path)).exit_code == 0
    own = tmp_path / "millstream-alerts.yml"
    own.write_text("mine")
    result = call("dashboards", "export", str(tmp_path))
    assert (result.exit_code, own.read_text()) == (1, "mine")
    assert "differs; --force replaces it" in result.output
    assert call("dashboards", "export", str(tmp_path), "--force").exit_code == 0
    assert own.read_text() != "mine"
    assert call("dashboards", "export", str(own)).exit_code == 2


def test_the_command_line_goes_before_the_environment_the_code_and_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def address(app: App, *arguments: str | None, off: bool = False) -> str | None:
        serve(app, arguments[0] if arguments else None, off=off)
        return None if app._web is None else app._web.address

    assert address(App("app")) == _web.DEFAULT
    assert address(App("app", web="127.0.0.1:7")) == "127.0.0.1:7"
    monkeypatch.setenv("MILLSTREAM_WEB", "127.0.0.1:8")
    assert address(App("app", web="127.0.0.1:7")) == "127.0.0.1:8"
    assert address(App("app", web="127.0.0.1:7"), "127.0.0.1:9") == "127.0.0.1:9"
    assert address(App("app", web="127.0.0.1:7"), off=True) is None
    monkeypatch.setenv("MILLSTREAM_WEB", "off")
    assert address(App("app", web="127.0.0.1:7")) is None
    assert address(App("app"), "127.0.0.1:9") == "127.0.0.1:9"
    with pytest.raises(Mistake, match="contradict"):
        serve(App("app"), "127.0.0.1:9", off=True)


@pytest.mark.timeout(240)
def test_run_serves_a_page_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "served_app.py").write_text(
        """
from millstream import App, Topic, TumblingWindow
from millstream._core import EmbeddedBroker
EmbeddedBroker.get().create_topic("readings", 1)
app = App("app", brokers="embedded")
@app.model(source=Topic("readings", fields=["v"]), window=TumblingWindow("10s", grace="0s"), sink="results")
def model(batch):
    return batch.lengths
"""
    )
    command = [
        sys.executable,
        "-c",
        "from millstream.cli import main; main()",
        "run",
        "served_app:app",
        "--until",
        "end",
    ]
    for more, count in (["--web", "127.0.0.1:0"], 1), (["--no-web"], 0):
        done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert len(re.findall(r"status page at http://127\.0\.0\.1:\d+$", done.stderr, re.M)) == count
