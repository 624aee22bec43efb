"""`millstream init`: a project whose test passes and which runs, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from millstream.cli import main

MAIN = "from millstream.cli import main; main()"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


def in_project(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd="activity",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.timeout(240)
def test_a_new_project_passes_its_test_and_runs() -> None:
    result = init("activity")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(path.name for path in Path("activity").iterdir()) == [
        "README.md",
        "pipeline.py",
        "pyproject.toml",
        "test_pipeline.py",
    ]
    tested = in_project("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    ran = in_project(
        "-c", MAIN, "run", "pipeline:app", "--until", "end", "--quiet", MILLSTREAM_BROKERS="embedded"
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_project_is_named_and_knows_its_brokers() -> None:
    assert init("activity", "--brokers", "kafka-1:9092").exit_code == 0
    text = Path("activity/pipeline.py").read_text()
    assert 'App("activity", brokers="kafka-1:9092")' in text
    assert "activity.readings" in text
    assert "$" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'NAME'"),
        (["two words"], "may only hold letters of ASCII"),
        (["../elsewhere"], "may only hold letters of ASCII"),
        (["taken"], "'taken' exists here already"),
        (["activity", "--brokers", "kafka 1"], "is no broker's address"),
    ],
)
def test_a_mistake_is_code_2_and_makes_nothing(arguments: list[str], message: str) -> None:
    Path("taken").mkdir()
    result = init(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_a_folder_that_cannot_be_written_is_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = init("activity")
    assert result.exit_code == 1
    assert result.stderr == "Error: 'activity' could not be written: Permission denied\n"
