"""`millstream backtest`: files in, files out."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from millstream.cli import main

MODULE = """
from millstream import App, Topic, TumblingWindow

app, both = App("app"), App("both")
window = TumblingWindow("10s", grace="1s")

def count(batch):
    return batch.lengths

def rows(batch):
    return {"rows": [window.values.tolist()[0] for window in batch]}

for name in ("one", "two"):
    both.model(Topic(name, timestamp="ts", fields=["v"]), window=window, sink=name + ".out", name=name)(count)
app.model(Topic("readings", timestamp="ts", fields=["v"]), window=window, sink="out")(count)
wide = App("wide")
wide.model(Topic("readings", timestamp="ts", fields=["v", "w"]), window=window, sink="out")(count)
lists = App("lists")
lists.model(Topic("readings", timestamp="ts", fields=["v"]), window=window, sink="out")(rows)
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    (tmp_path / "backtested.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    data = pl.DataFrame({"ts": [20_000, 0, 1], "key": ["a", "a", "b"], "v": [1.0, 2.0, None]})
    data.write_csv("data.csv")
    data.write_parquet("data.parquet")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["backtest", *arguments])

    yield invoke
    sys.modules.pop("backtested", None)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_results_and_what_has_none_go_to_files(run: Run, kind: str) -> None:
    outcome = run("backtested:app", f"data.{kind}", "--out", f"out.{kind}", "--dropped", f"dropped.{kind}")
    assert outcome.exit_code == 0, outcome.output
    assert f"out.{kind}: 2 rows" in outcome.output
    read = pl.read_csv if kind == "csv" else pl.read_parquet
    results, dropped = read(f"out.{kind}"), read(f"dropped.{kind}")
    assert results.select("key", "start", "prediction").rows() == [("a", 0, 1), ("a", 20_000, 1)]
    assert dropped.select("row", "reason").rows() == [(2, "missing_field")]


def test_rows_may_be_taken_as_they_stand(run: Run) -> None:
    outcome = run("backtested:app", "data.csv", "--out", "out.csv", "--order", "row", "--no-drain")
    assert outcome.exit_code == 0, outcome.output
    assert "2 rows or windows have no result" in outcome.output
    assert pl.read_csv("out.csv").is_empty()


def test_events_may_be_late(run: Run) -> None:
    pl.DataFrame({"ts": range(0, 1_000_000, 100), "key": ["a"] * 10_000, "v": [1.0] * 10_000}).write_parquet(
        "many.parquet"
    )
    arguments = ("backtested:app", "many.parquet", "--out", "out.parquet", "--dropped", "late.parquet")
    outcome = run(*arguments, "--delay", "1s", "--late", "0.1", "--late-by", "30s", "--seed", "4")
    assert outcome.exit_code == 0, outcome.output
    late = pl.read_parquet("late.parquet")
    assert set(late["reason"]) == {"late"}
    assert pl.read_parquet("out.parquet")["n_events"].sum() == 10_000 - len(late) < 9_800


def test_each_source_and_sink_has_a_file(run: Run) -> None:
    outcome = run("backtested:both", "one=data.csv", "two=data.parquet", "--out", "out.parquet")
    assert outcome.exit_code == 0, outcome.output
    assert [len(pl.read_parquet(f"out.{name}.out.parquet")) for name in ("one", "two")] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backtested:app", "none.csv", "--out", "out.csv"), "does not exist"),
        (("backtested:app", "data.csv", "--out", "out.json"), "is of no kind that is written"),
        (("backtested:app", "data.csv", "--out", "none/out.csv"), "directory that does not exist"),
        (("backtested:both", "data.csv", "--out", "out.csv"), "has to say which of the sources"),
        (("backtested:both", "data.csv", "two=data.csv", "--out", "out.csv"), "write TOPIC=data.csv"),
        (("backtested:both", "two=data.csv", "two=data.csv", "--out", "out.csv"), "given twice"),
        (("backtested:app", "data.csv", "--out", "out.csv", "--delay", "soon"), "Disorder delay"),
        (("backtested:app", "data.csv", "--out", "o.csv", "--delay", "1s", "--order", "row"), 'order="row"'),
        (("backtested:app", "data.csv", "--out", "./data.csv"), "'data.csv' is read, or written to, already"),
        (
            ("backtested:app", "data.csv", "--out", "o.csv", "--dropped", "o.csv"),
            "'o.csv' is read, or written",
        ),
        (("backtested:app", "semicolons.csv", "--out", "o.csv"), 'it has ["key;ts;v"]'),
        (("backtested:app", "garbage.parquet", "--out", "o.csv"), "'garbage.parquet': cannot be read: "),
        (("backtested:app", "nothing.csv", "--out", "o.csv"), "'nothing.csv': cannot be read: "),
        (("backtested:lists", "data.csv", "--out", "out.csv"), "cannot hold lists"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    Path("semicolons.csv").write_text("key;ts;v\na;0;1\n")
    Path("garbage.parquet").write_bytes(b"garbage")
    Path("nothing.csv").touch()
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert message in outcome.output
    assert "Traceback" not in outcome.output


def test_a_file_of_a_header_alone_has_no_results(run: Run) -> None:
    Path("header.csv").write_text("key,ts,v,w\n")
    outcome = run("backtested:wide", "header.csv", "--out", "out.csv")
    assert outcome.exit_code == 0, outcome.output
    assert len(pl.read_csv("out.csv")) == 0


def test_a_file_that_cannot_be_written_is_one_line(run: Run) -> None:
    Path("taken.csv").mkdir()
    outcome = run("backtested:app", "data.csv", "--out", "taken.csv")
    assert outcome.exit_code == 1
    assert outcome.output.splitlines()[-1].startswith("Error: 'taken.csv' cannot be written: ")
