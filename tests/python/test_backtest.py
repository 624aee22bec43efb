"""`App.backtest`: the windows of `App.test` from frames, what frames may be, what has no result."""

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import READINGS, TUMBLING, recording_app
from millstream import App, ConfigError, Disorder, HoppingWindow, ModelError, Record, Topic, TumblingWindow
from millstream._durations import format_ms
from test_oracle import Log, Shape, logs, oracle, shapes

QUIET = Topic("readings", timestamp="ts", fields=["v"], idle_timeout=None)


def frame(log: Log) -> pl.DataFrame:
    """Return a log as a frame whose values are its rows."""
    rows = [(ts, key, partition, float(row)) for row, (ts, key, partition) in enumerate(log)]
    return pl.DataFrame(
        rows,
        orient="row",
        schema={"ts": pl.Int64, "key": pl.String, "partition": pl.Int32, "v": pl.Float64},
    )


def records(log: Log) -> list[Record]:
    """Return the same log as records."""
    return [
        Record({"ts": ts, "v": float(row)}, key=key, partition=partition)
        for row, (ts, key, partition) in enumerate(log)
    ]


def window_of(shape: Shape) -> HoppingWindow:
    return HoppingWindow(
        format_ms(shape.size),
        hop=format_ms(shape.hop),
        grace=format_ms(shape.grace),
        offset=format_ms(shape.offset),
    )


def contents(batch: Any) -> dict[str, Any]:
    return {"values": [w.values[:, 0].tolist() for w in batch], "sum": [w.values.sum() / 3 for w in batch]}


def rows_of(out: list[Record]) -> list[tuple[Any, ...]]:
    """Return results of a test as a frame has them."""
    values = [(record.partition, record.value) for record in out]
    rows = [
        (v["window"]["end"], v["key"], p, v["window"]["start"], v["n_events"], v["values"], v["sum"])
        for p, v in values
    ]
    return sorted(rows, key=lambda row: (row[0], row[1].encode(), row[2]))


def rows_in(results: pl.DataFrame) -> list[tuple[Any, ...]]:
    if results.is_empty():
        return []
    return results.select("end", "key", "partition", "start", "n_events", "values", "sum").rows()


@settings(max_examples=60, deadline=None)
@given(log=logs, shape=shapes(), workers=st.integers(1, 4), drain=st.booleans(), batch=st.integers(1, 9))
def test_rows_in_order_give_what_the_same_records_give(
    log: Log, shape: Shape, workers: int, drain: bool, batch: int
) -> None:
    app = App("app")
    app.model(QUIET, window=window_of(shape), sink="out", name="m", max_batch=batch)(contents)
    wanted = rows_of(app.test({"readings": records(log)}, drain=drain)["out"])
    late = app.metrics()["late_pairs"]

    results, dropped = app.backtest(frame(log), order="row", drain=drain, workers=workers, with_dropped=True)

    assert rows_in(results) == wanted
    assert app.metrics()["late_pairs"] == late == dropped["windows"].sum()
    assert app.metrics()["consumed"] == len(log)


@settings(max_examples=40, deadline=None)
@given(log=logs, shape=shapes(), workers=st.integers(1, 4))
def test_rows_by_time_give_every_window_whole_and_nothing_late(log: Log, shape: Shape, workers: int) -> None:
    app = App("app")
    app.model(QUIET, window=window_of(shape), sink="out", name="m")(contents)
    results, dropped = app.backtest(frame(log), workers=workers, with_dropped=True)
    everything, _ = oracle(log, Shape(shape.size, shape.hop, 10**9, shape.offset))
    assert {(p, k, s): v for _, k, p, s, _, v, _ in rows_in(results)} == everything
    assert dropped.is_empty()


def readings_frame() -> pd.DataFrame:
    return pd.DataFrame({"ts": [0, 1, 20_000], "key": ["a", "b", "a"], "v": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize(
    ("convert", "kind"),
    [
        pytest.param(lambda f: f, pd.DataFrame, id="pandas"),
        pytest.param(pl.from_pandas, pl.DataFrame, id="polars"),
        pytest.param(lambda f: pl.from_pandas(f).lazy(), pl.DataFrame, id="polars lazy"),
        pytest.param(pa.Table.from_pandas, pa.Table, id="table"),
        pytest.param(lambda f: pa.Table.from_pandas(f).to_reader(), pa.Table, id="reader"),
        pytest.param(lambda f: f.set_index("ts"), pd.DataFrame, id="pandas, ts as the index"),
        pytest.param(lambda f: f.astype({"key": "category"}), pd.DataFrame, id="categories"),
        pytest.param(
            lambda f: pl.from_pandas(f).cast({"key": pl.Categorical}), pl.DataFrame, id="pl.Categorical"
        ),
    ],
)
def test_the_same_kind_of_frame_comes_back(convert: Any, kind: type) -> None:
    app, _ = recording_app(source=READINGS)
    results = app.backtest(convert(readings_frame()))
    assert isinstance(results, kind)
    table: pa.Table = pa.table(results)
    assert table.to_pydict() == {
        "key": ["a", "b", "a"],
        "start": [0, 0, 20_000],
        "end": [10_000, 10_000, 30_000],
        "n_events": [1, 1, 1],
        "partition": [0, 0, 0],
        "prediction": [1, 1, 1],
    }


def test_whatever_has_an_arrow_stream_is_a_frame() -> None:
    class Other:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pl.from_pandas(readings_frame()).__arrow_c_stream__(requested_schema)

    app, _ = recording_app()
    assert app.backtest(Other()).num_rows == 3


NOON = pd.Timestamp("2024-03-01T12:00:00")
MS = 1_709_294_400_000


@pytest.mark.parametrize(
    ("unit", "column"),
    [
        (None, pd.Series([NOON])),
        (None, pd.Series([NOON]).astype("datetime64[s]")),
        (None, pd.Series([NOON.tz_localize("UTC").tz_convert("Asia/Tokyo")])),
        ("s", pd.Series([NOON]).astype("datetime64[us]")),
        (None, [MS]),
        ("ms", [float(MS) + 0.9]),
        ("s", [MS // 1000]),
        ("us", [MS * 1000 + 999]),
        ("ns", [MS * 1_000_000]),
        ("rfc3339", ["2024-03-01T13:00:00+01:00"]),
    ],
)
def test_event_times_are_datetimes_or_of_the_unit(unit: Any, column: Any) -> None:
    source = Topic("readings", timestamp="ts", timestamp_unit=unit, fields=["v"])
    app, seen = recording_app(source=source)
    app.backtest(pd.DataFrame({"ts": column, "key": "a", "v": 1}))
    (window,) = seen.windows
    assert window.timestamps.tolist() == [MS]


def test_a_topic_without_a_timestamp_field_takes_the_column_timestamp() -> None:
    app, seen = recording_app(source=Topic("readings", fields=["v"]))
    app.backtest(pl.DataFrame({"timestamp": [5, None], "key": ["a", "a"], "v": [True, False]}))
    assert [(w.timestamps.tolist(), w.values.tolist()) for w in seen.windows] == [([5], [[1.0]])]


def test_missing_values_are_judged_as_those_of_records() -> None:
    data = {"ts": [0, 1, 2, 3, 4, None], "key": ["a", "a", "a", None, "a", "a"]}
    numbers = {"v": [1.0, None, float("nan"), 4.0, float("inf"), 6.0]}
    app, seen = recording_app()
    _, dropped = app.backtest(pl.DataFrame(data | numbers), with_dropped=True)
    assert seen.contents == {("a", 0, 10_000): [1.0]}
    reasons = dict(zip(dropped["row"], dropped["reason"], strict=True))
    field = "missing_field"
    assert reasons == {1: field, 2: field, 3: "missing_key", 4: field, 5: "bad_timestamp"}
    counted = app.metrics()["sources"]["readings"]["dead_letters"]
    assert counted == {"missing_field": 3, "missing_key": 1, "bad_timestamp": 1}

    app, seen = recording_app(source=Topic("readings", timestamp="ts", fields=["v"], missing="nan"))
    app.backtest(pl.DataFrame(data | numbers))
    ((_, values),) = seen.contents.items()
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan, np.nan])


def test_rows_that_are_no_events_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = recording_app()
    app.backtest(pl.DataFrame({"ts": [0, 1], "key": ["a", "a"], "v": [None, 1.0]}))
    assert "1 of 2 rows" in caplog.text
    assert "missing_field 1" in caplog.text


def test_the_future_guard_reads_the_timestamp_of_the_record() -> None:
    hour = 3_600_000
    data = {"ts": [0, hour + 1], "timestamp": [0, 0], "key": ["a", "a"], "v": [1.0, 2.0]}
    app, seen = recording_app()
    _, dropped = app.backtest(pl.DataFrame(data), with_dropped=True)
    assert dropped["reason"].to_list() == ["future_timestamp"]
    assert len(seen.windows) == 1


def test_a_unit_that_is_plainly_another_one_is_refused() -> None:
    data = {"ts": [1_700_000_000] * 100, "timestamp": [1_700_000_000_000] * 100, "key": ["a"] * 100}
    app, _ = recording_app()
    with pytest.raises(ConfigError, match="State the unit"):
        app.backtest(pl.DataFrame(data).with_columns(v=1.0))


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ([7, 7], [("7", 2)]),
        (np.array([2**64 - 1, 1], dtype="uint64"), [("1", 1), ("18446744073709551615", 1)]),
        (["ключ", "a"], [("a", 1), ("ключ", 1)]),
        ([b"\xff", b"a"], [(b"a", 1), (b"\xff", 1)]),
    ],
)
def test_keys_are_text_integers_or_the_bytes_of_records(keys: Any, wanted: list[Any]) -> None:
    app, _ = recording_app()
    results = app.backtest(pl.DataFrame({"ts": [0, 1], "key": keys, "v": [1.0, 2.0]}))
    assert results.select("key", "n_events").rows() == wanted


def test_a_key_in_two_partitions_is_refused_as_in_a_run() -> None:
    data = pl.DataFrame({"ts": [0, 1], "k": ["a", "a"], "v": [1.0, 2.0], "partition": [0, 1]})
    for scattered in (False, True):
        app, seen = recording_app(
            source=Topic("readings", key="k", timestamp="ts", fields=["v"], scattered=scattered)
        )
        if scattered:
            assert app.backtest(data)["partition"].to_list() == [0, 1]
        else:
            with pytest.raises(ConfigError, match="is in partitions 0 and 1"):
                app.backtest(data)
        assert len(seen.windows) == 2 * scattered


def test_offsets_order_equal_times_and_must_ascend_in_a_log() -> None:
    data = pl.DataFrame({"ts": [5, 5], "key": ["a", "a"], "v": [2.0, 1.0], "offset": [9, 4]})
    app, seen = recording_app()
    app.backtest(data)
    assert seen.contents == {("a", 0, 10_000): [1.0, 2.0]}
    with pytest.raises(ConfigError, match="row 1 has offset 4 of partition 0, after offset 9"):
        app.backtest(data, order="row")


def test_context_is_the_last_of_a_window() -> None:
    source = Topic("readings", timestamp="ts", fields=["v"], context=["site", "rev"], missing="nan")
    app = App("app")

    def said(batch: Any) -> Any:
        return {"site": list(batch.context["site"]), "rev": list(batch.context["rev"])}

    app.model(source, window=TUMBLING, sink="out", name="m")(said)
    data = {"ts": [0, 1, 2], "v": [1.0] * 3, "site": ["x", "y", None], "rev": [None, 1, 2]}
    results = app.backtest(pl.DataFrame(data).with_columns(key=pl.lit("a")))
    assert results.select("site", "rev").rows() == [("y", 2)]


@pytest.mark.parametrize("library", [pl.DataFrame, pd.DataFrame, pa.table])
@pytest.mark.parametrize("column", [[], [None]])
def test_a_frame_may_be_empty_or_hold_nothing_but_nulls(library: Any, column: list[Any]) -> None:
    app, _ = recording_app()
    results = app.backtest(library({"ts": column, "key": column, "v": column}))
    assert results.shape[0] == 0
    assert app.metrics()["dead_letters"] == len(column)


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (pl.DataFrame({"ts": [0], "key": ["a"]}), {}, r'no column "v"; it has \["ts", "key"\]'),
    (pl.DataFrame({"ts": [0], "key": ["a"], "v": ["1"]}), {}, 'column "v" is of type .*, not numbers'),
    (
        pl.DataFrame({"ts": ["0"], "key": ["a"], "v": [1]}),
        {},
        'column "ts" is of type .*, not datetimes or a num',
    ),
    (
        pl.DataFrame({"ts": [0], "key": [0.5], "v": [1]}),
        {},
        'column "key" is of type Float64, not text or int',
    ),
    (readings_frame().assign(partition=-1), {}, 'column "partition" is null or beyond 0 to 9999 in row 0'),
    (readings_frame().assign(offset=[0, None, 1]), {}, 'column "offset"'),
    ([1, 2], {}, "is not a frame"),
    (readings_frame()["v"], {}, "='Series': is not a frame"),
    (pl.Series([1]), {}, "='Series': is not a frame"),
    (pa.chunked_array([[1]]), {}, "='ChunkedArray': is not a frame"),
    (readings_frame().assign(w=1).drop(columns="v"), {}, 'no column "v"; it has .*"w"'),
    (readings_frame().assign(v=pd.Series([1, "x", None], dtype=object)), {}, "cannot be read: .*column v"),
    (readings_frame().assign(ts=pd.period_range("2026", periods=3)), {}, 'column "ts" is of periods'),
    (
        pa.Table.from_arrays(
            [pa.array([0]), pa.array(["a"]), *[pa.array([1.0])] * 2], ["ts", "key", "v", "v"]
        ),
        {},
        'two columns "v"',
    ),
    (readings_frame(), {"with_dropped": 1}, "with_dropped=1: is an int, not a bool"),
    ({"other": readings_frame()}, {}, "is not a source that is fed"),
    ("nowhere.parquet", {}, "does not exist"),
    ("data.json", {}, "is of no kind that is read"),
    (readings_frame(), {"order": "random"}, "order"),
    (readings_frame(), {"workers": 0}, "workers"),
    (readings_frame(), {"disorder": 1}, "is not a Disorder"),
    (readings_frame(), {"disorder": Disorder(1), "order": "row"}, 'does not go with order="row"'),
]


@pytest.mark.parametrize(("data", "options", "message"), REFUSED)
def test_a_mistake_is_named(data: Any, options: dict[str, Any], message: str) -> None:
    app, seen = recording_app()
    with pytest.raises(ConfigError, match=message):
        app.backtest(data, **options)
    assert seen.batches == []


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"delay": 5}, {"late": 1.5}, {"late": "some"}, {"late_by": "0s"}]
)
def test_a_wrong_disorder_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Disorder"):
        Disorder(**wrong)


def test_disorder_makes_events_late_and_says_which() -> None:
    rows = 5_000
    data = pl.DataFrame({"ts": np.arange(rows) * 100, "key": ["a"] * rows, "v": np.arange(rows) * 1.0})
    app, _ = recording_app(TumblingWindow("10s", grace="2s"))
    whole = app.backtest(data)
    assert app.backtest(data, disorder=Disorder(1, delay="2s")).equals(whole), "within the grace"
    asked = Disorder(1, delay="2s", late=0.05)
    results, dropped = app.backtest(data, disorder=asked, with_dropped=True)
    again, _ = app.backtest(data, disorder=asked, with_dropped=True, workers=3)
    assert results.equals(again)
    assert set(dropped["reason"]) == {"late"}
    assert 100 < len(dropped) < 300
    assert results["n_events"].sum() == rows - len(dropped)
    first = dropped.row(0, named=True)
    ts = data["ts"][first["row"]]
    assert (first["model"], first["start"] <= ts < first["end"], first["windows"]) == ("m", True, 1)


def two_steps() -> App:
    """Return an app with a chained model, on two partitions."""
    app = App("app")
    scores = Topic("scores", key="key", timestamp="window.end", fields=["n_events", "score"], max_future=None)

    @app.model(QUIET, window=TumblingWindow("1s", grace="100ms"), sink="scores")
    def score(batch: Any) -> Any:
        return {"score": [w.values.mean() / 3 for w in batch]}

    @app.model(scores, window=HoppingWindow("4s", hop="2s", grace="0s"), sink="alarms")
    def alarm(batch: Any) -> Any:
        return [window.values.sum() for window in batch]

    return app


@pytest.mark.parametrize("drain", [True, False])
def test_a_chained_model_reads_the_results_as_a_log(drain: bool) -> None:
    random = np.random.default_rng(3)
    log: Log = [(int(i * 37 - random.integers(0, 300)), "abc"[i % 3], i % 3 % 2) for i in range(400)]
    app = two_steps()
    out = app.test({"readings": records(log)}, drain=drain)
    results = app.backtest(frame(log), order="row", drain=drain, workers=3)
    assert set(results) == {"scores", "alarms"}
    for sink, field in (("scores", "score"), ("alarms", "prediction")):
        wanted = sorted(
            (r.value["window"]["end"], r.value["key"], r.partition, r.value["n_events"], r.value[field])
            for r in out[sink]
        )
        assert results[sink].select("end", "key", "partition", "n_events", field).rows() == wanted
        assert len(wanted) > 10


def test_several_sources_are_named() -> None:
    app = App("app")
    for name in ("one", "two"):
        topic = Topic(name, timestamp="ts", fields=["v"])
        app.model(topic, window=TUMBLING, sink=f"{name}.out", name=name)(lambda batch: batch.lengths)
    with pytest.raises(ConfigError, match="has to say which of the sources"):
        app.backtest(readings_frame())
    results = app.backtest({"two": readings_frame()})
    assert (len(results["one.out"]), len(results["two.out"])) == (0, 3)


def test_windows_that_a_model_fails_on_are_told_of_with_their_neighbours_done() -> None:
    app = App("app")

    def predict(batch: Any) -> Any:
        if "b" in batch.keys:
            raise ValueError("no b here")
        return batch.lengths

    app.model(READINGS, window=TUMBLING, sink="out", name="m")(predict)
    results, dropped = app.backtest(pl.from_pandas(readings_frame()), with_dropped=True, workers=1)
    assert results["key"].to_list() == ["a", "a"]
    (row,) = dropped.rows(named=True)
    said = {name: row[name] for name in ("reason", "key", "model", "start", "end", "row", "windows")}
    window = {"start": 0, "end": 10_000, "windows": 1}
    assert said == {"reason": "model_error", "key": "b", "model": "m", "row": None, **window}
    assert "no b here" in row["detail"]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_model_that_only_fails_stops_it(workers: int) -> None:
    def broken(batch: Any) -> Any:
        raise KeyError("typo")

    many = pl.DataFrame({"ts": np.arange(2_000) * 10_000, "key": ["a"] * 2_000, "v": [1.0] * 2_000})
    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="out", name="m", max_batch=16)(broken)
    with pytest.raises(ModelError, match="failed on every window"):
        app.backtest(many, workers=workers)
    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="out", name="m", on_error="fail")(broken)
    with pytest.raises(KeyError, match="typo"):
        app.backtest(many, workers=workers)


class Meeting:
    """A model that knows how many of its calls run at the same time."""

    most = 0
    made = 0
    # How long a call waits for another one beside it.
    patience = 0.05

    def __init__(self) -> None:
        type(self).made += 1
        self.inside = 0
        self.lock = threading.Lock()
        self.met = threading.Event()

    def predict(self, batch: Any) -> Any:
        with self.lock:
            self.inside += 1
            type(self).most = max(self.most, self.inside)
        if self.inside > 1:
            self.met.set()
        if type(self).most < 2 and not self.met.wait(type(self).patience):
            type(self).patience = min(0.05, type(self).patience)
        with self.lock:
            self.inside -= 1
        return batch.lengths


@pytest.mark.parametrize(
    ("declared", "workers", "most", "made"),
    [({}, None, 1, 1), ({}, 4, 2, 1), ({"per_worker": True}, 4, 1, 4), ({"workers": 2}, None, 2, 1)],
)
def test_a_shared_instance_is_called_at_the_same_time_only_where_that_was_said(
    monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any], workers: int | None, most: int, made: int
) -> None:
    class Mine(Meeting):
        patience = 60.0 if most > 1 else 0.05

    monkeypatch.setattr("millstream._backtest.cores", lambda: 4)
    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="out", name="m", max_batch=8, **declared)(Mine)
    rows = 400
    data = pl.DataFrame({"ts": [0] * rows, "key": [str(i) for i in range(rows)], "v": [1.0] * rows})
    assert len(app.backtest(data, workers=workers)) == rows
    assert (min(Mine.most, 2), Mine.made) == (most, made)


def test_a_result_may_be_anything_that_json_has() -> None:
    app = App("app")

    def predict(batch: Any) -> Any:
        n = len(batch)
        return {
            "vector": [[1.0, None, 2]] * n,
            "tree": [{"a": [1]}] * n,
            "nan": np.full(n, np.nan),
            "start": ["now"] * n,
            "flag": np.ones(n, dtype=bool),
        }

    app.model(READINGS, window=TUMBLING, sink="out", name="m")(predict)
    results = app.backtest(pl.from_pandas(readings_frame()))
    assert results.columns[:5] == ["key", "start_", "end", "n_events", "partition"]
    row = results.row(0, named=True)
    said = {name: row[name] for name in ("vector", "tree", "nan", "start", "flag")}
    wanted = {"vector": [1.0, None, 2.0], "tree": '{"a":[1]}', "nan": None, "start": "now", "flag": True}
    assert said == wanted


def test_windows_without_a_result_are_left_out_and_counted() -> None:
    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="out", name="m")(
        lambda batch: [{"n": 1} if key == "a" else None for key in batch.keys]
    )
    assert app.backtest(readings_frame())["key"].tolist() == ["a", "a"]
    assert app.metrics()["models"]["m"]["windows_silent"] == 1


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_are_read_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, kind: str
) -> None:
    path = tmp_path / f"data.{kind}"
    data = pl.DataFrame({"ts": [0, 1], "key": ["007", "8"], "v": [1.5, 2.5], "other": [{"x": 1}, {"x": 2}]})
    (data.write_parquet if kind == "parquet" else data.drop("other").write_csv)(path)
    if library == "pyarrow":
        hide(monkeypatch, "polars")
    app, seen = recording_app()
    results = app.backtest(path)
    assert type(results).__module__.partition(".")[0] == library
    assert seen.contents == {("007", 0, 10_000): [1.5], ("8", 0, 10_000): [2.5]}
    assert len(app.backtest({"readings": str(path)})) == 2


def hide(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    """Make libraries look as if they were not installed."""
    for name in libraries:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("millstream._sources._installed", lambda name: name not in libraries)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.csv"
    pl.from_pandas(readings_frame()).write_csv(path)
    app, _ = recording_app()
    hide(monkeypatch, "polars", "pyarrow")
    with pytest.raises(ModuleNotFoundError, match=r"polars or pyarrow.*millstream\[polars\]"):
        app.backtest(path)
    with pytest.raises(ModuleNotFoundError, match=r"pandas frame needs pyarrow.*millstream\[pyarrow\]"):
        app.backtest(readings_frame())


def test_a_bar_is_shown_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    app, _ = recording_app()
    app.backtest(readings_frame(), progress=True)
    assert "3/3 events" in capsys.readouterr().err
    app.backtest(readings_frame())
    assert capsys.readouterr().err == ""


def test_an_interrupt_ends_it_and_leaves_the_app_usable() -> None:
    app, slow, called = App("app"), True, threading.Event()

    def predict(batch: Any) -> Any:
        called.set()
        if slow:
            time.sleep(0.02)
        return batch.lengths

    app.model(READINGS, window=TUMBLING, sink="out", name="m", max_batch=1)(predict)
    rows = 20_000
    data = pl.DataFrame({"ts": np.arange(rows) * 10_000, "key": ["a"] * rows, "v": [1.0] * rows})

    # Not before it runs: elsewhere it would end the tests.
    def interrupt() -> None:
        if called.wait(60):
            signal.raise_signal(signal.SIGINT)

    user = threading.Thread(target=interrupt)
    user.start()
    with pytest.raises(KeyboardInterrupt):
        app.backtest(data)
    user.join()
    slow = False
    assert len(app.backtest(data)) == rows


def test_limits_of_a_live_process_and_its_start_do_not_apply() -> None:
    app = App("app", start="latest", max_keys=1)
    app.model(READINGS, window=HoppingWindow("10s", hop="5s", grace="0s"), sink="out", name="m")(
        lambda b: b.lengths
    )
    assert len(app.backtest(readings_frame())) == 6


def test_a_model_of_single_events_is_refused() -> None:
    app = App("app")
    app.batch(Topic("readings", timestamp="ts", fields=["v"]), sink="scores", name="fraud")(
        lambda batch: batch["v"]
    )
    with pytest.raises(
        ConfigError, match=r"model='fraud': scores single events, .* call its predict on the fra"
    ):
        app.backtest(pd.DataFrame({"ts": [1], "v": [1.0], "key": ["a"]}))
