"""What a model may return, and the output record that each window becomes."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from harness import READINGS, TUMBLING, headers, reading, readings, recording_app
from millstream import App, HoppingWindow, ModelError, Record, WindowBatch


def returning(result: Any, **options: Any) -> App:
    """Return an app whose model answers a batch with `result(batch)`."""
    app = App("app", group_id="group")

    @app.model(source=READINGS, window=TUMBLING, sink="results", **options)
    def model(batch: WindowBatch) -> Any:
        return result(batch)

    return app


def rows(result: Any, *fed: Record) -> list[dict[str, Any]]:
    """Return the output values for one window per reading of 0, 10 and 20 s."""
    out = returning(result).test({"readings": list(fed) or readings(0, 10_000, 20_000)})
    assert all(isinstance(record.value, dict) for record in out["results"])
    return [record.value for record in out["results"]]


def per_window(values: list[Any]) -> Any:
    """Return a result that gives the windows of 0, 10 and 20 s the three values."""
    return lambda batch: [values[start // 10_000] for start in batch.starts]


@pytest.mark.parametrize(
    "values", [[1, 2, 3], [0.5, 1.5, -2.0], ["a", "ä", ""], [True, False, 1], [[{"a": [1]}], [], "x"]]
)
def test_a_list_becomes_the_field_prediction(values: list[Any]) -> None:
    assert [row["prediction"] for row in rows(per_window(values))] == values


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float64", "float32", "bool", "object", "<U3"])
def test_an_array_of_any_plain_type_becomes_the_field_prediction(dtype: str) -> None:
    values = np.array([1, 0, 1]).astype(dtype)
    result = per_window(list(values))
    got = [row["prediction"] for row in rows(lambda batch: np.array(result(batch), dtype=dtype))]
    assert got == values.tolist()


def test_an_array_need_be_neither_contiguous_nor_native() -> None:
    def result(batch: WindowBatch) -> Any:
        return np.repeat(batch.starts, 2).astype(">i8")[::2]

    assert [row["prediction"] for row in rows(result)] == [0, 10_000, 20_000]


def test_a_dict_becomes_one_field_each() -> None:
    def result(batch: WindowBatch) -> dict[str, Any]:
        return {
            "label": np.array(["walk"] * len(batch)),
            "score": batch.starts / 2,
            "top": [[1, None]] * len(batch),
        }

    for number, row in enumerate(rows(result)):
        assert (row["label"], row["score"], row["top"]) == ("walk", number * 5_000.0, [1, None])
        assert "prediction" not in row


@pytest.mark.parametrize("form", [list, tuple, lambda rows: np.array(rows, dtype=object)])
@pytest.mark.parametrize("row", [5, "x", {"label": "walk"}], ids=str)
def test_a_row_of_none_emits_nothing_and_is_counted(form: Any, row: Any) -> None:
    app = returning(lambda batch: form(per_window([row, None, row])(batch)))
    out = app.test({"readings": readings(0, 10_000, 20_000)})["results"]
    assert [record.value["window"]["start"] for record in out] == [0, 20_000]
    counted = app.metrics()["models"]["model"]
    assert (counted["windows_closed"], counted["windows_produced"], counted["windows_silent"]) == (3, 2, 1)


def test_a_batch_of_nothing_but_none_is_committed() -> None:
    app = returning(lambda batch: [None] * len(batch))
    assert app.test({"readings": readings(0, 10_000)})["results"] == []
    counted = app.metrics()
    assert (counted["windows"], counted["models"]["model"]["windows_silent"]) == (0, 2)
    assert counted["sources"]["readings"]["partitions"][0]["committed_offset"] == 2


def test_none_in_a_field_is_null() -> None:
    assert [row["a"] for row in rows(lambda batch: {"a": [None] * len(batch)})] == [None] * 3
    assert [row["a"] for row in rows(lambda batch: [{"a": None}] * len(batch))] == [None] * 3


def test_dicts_become_the_fields_of_their_own_row() -> None:
    out = rows(per_window([{"a": 1, "b": [True]}, {"b": np.float64("nan")}, {}]))
    own = [{name: value for name, value in row.items() if name in "ab"} for row in out]
    assert own == [{"a": 1, "b": [True]}, {"b": None}, {}]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool", "<U3"])
def test_columns_of_an_array_get_the_names_in_outputs(dtype: str) -> None:
    def result(batch: WindowBatch) -> Any:
        return np.stack([batch.starts, batch.ends], axis=1).astype(dtype)

    app = returning(result, outputs=["start", "end"])
    (row,) = [record.value for record in app.test({"readings": readings(0)})["results"]]
    assert [row["start"], row["end"]] == np.array([0, 10_000]).astype(dtype).tolist()
    assert "prediction" not in row


@pytest.mark.parametrize(
    ("outputs", "result", "expected"),
    [
        (["a"], lambda n: np.arange(n), {"a": 0}),
        (["a"], lambda n: [7] * n, {"a": 7}),
        (["a"], lambda n: np.zeros((n, 1)), {"a": 0.0}),
        (["a"], lambda n: ["text"] * n, {"a": "text"}),
        (["a", "b"], lambda n: [(1, "x")] * n, {"a": 1, "b": "x"}),
        (["a", "b"], lambda n: [np.array([1, 2])] * n, {"a": 1, "b": 2}),
        (["a", "b"], lambda n: {"b": [2] * n, "a": [1] * n}, {"a": 1, "b": 2}),
        (["a", "b"], lambda n: [{"b": 2, "a": 1}] * n, {"a": 1, "b": 2}),
        (["a", "b"], lambda n: pd.DataFrame({"b": [2] * n, "a": [1] * n}), {"a": 1, "b": 2}),
        (["a", "b"], lambda n: np.zeros((n, 2, 2)).tolist(), {"a": [0.0, 0.0], "b": [0.0, 0.0]}),
    ],
)
def test_outputs_name_the_fields_of_any_form(outputs: list[str], result: Any, expected: Any) -> None:
    app = returning(lambda batch: result(len(batch)), outputs=outputs)
    (record,) = app.test({"readings": readings(0)})["results"]
    assert list(record.value.items())[3:] == list(expected.items())


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda n: np.zeros((n, 3)), "an array of 3 columns for outputs"),
        (lambda n: np.zeros(n), "one column for outputs"),
        (lambda n: [1] * n, "one column for outputs"),
        (lambda n: [(1, 2, 3)] * n, "a row of 3 values for outputs"),
        (lambda n: {"a": [1] * n}, "the fields .* for outputs"),
        (lambda n: [{"a": 1, "c": 1}] * n, "the fields .* for outputs"),
        (lambda n: np.zeros((n, 2, 1)), "an array of 3 dimensions"),
        (lambda n: np.zeros((n + 4, 2)), r"returned 5 rows in field .* for 1 windows"),
    ],
)
def test_what_does_not_fit_outputs_is_refused(result: Any, message: str) -> None:
    app = returning(lambda batch: result(len(batch)), outputs=["a", "b"])
    with pytest.raises(ModelError, match=message):
        app.test({"readings": readings(0)})


FRAMES = [
    pytest.param(lambda columns: pd.DataFrame(columns, index=range(5, 8)), id="pandas"),
    pytest.param(lambda columns: pd.DataFrame(columns).convert_dtypes(), id="pandas nullable"),
    pytest.param(pl.DataFrame, id="polars"),
    pytest.param(pa.table, id="pyarrow"),
    pytest.param(lambda columns: pa.RecordBatch.from_pydict(columns), id="record batch"),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_gives_its_columns_in_the_order_of_the_windows(frame: Any) -> None:
    said = {
        "label": ["walk", "run", None],
        "score": [0.5, float("nan"), 1.0],
        "count": [1, 2, 3],
        "sure": [True, False, True],
    }
    out = rows(lambda batch: frame(said), *(reading(0, key=key) for key in "abc"))
    expected = {**said, "score": [0.5, None, 1.0]}
    for name, values in expected.items():
        assert [row[name] for row in out] == values
        assert [type(row[name]) for row in out] == [type(value) for value in values]


@pytest.mark.parametrize(
    "result",
    [
        lambda ids: pl.DataFrame({"id": ids}),
        lambda ids: pa.table({"id": ids}),
        lambda ids: pd.DataFrame({"id": pd.array(ids, dtype="Int64")}),
        lambda ids: {"id": pl.Series(ids)},
        lambda ids: {"id": pa.array(ids)},
        lambda ids: {"id": pd.array(ids, dtype="Int64")},
    ],
)
def test_integers_beside_a_null_stay_integers(result: Any) -> None:
    big = 2**62 + 1
    out = rows(lambda batch: result([big, None, 3]), *(reading(0, key=key) for key in "abc"))
    assert [row["id"] for row in out] == [big, None, 3]


@pytest.mark.parametrize("series", [pl.Series, pa.array, lambda ids: pd.Series(ids, dtype="Int64")])
def test_a_series_with_a_null_is_a_field_with_a_null(series: Any) -> None:
    out = rows(lambda batch: series([2**62 + 1, None, 3]), *(reading(0, key=key) for key in "abc"))
    assert [row["prediction"] for row in out] == [2**62 + 1, None, 3]


@pytest.mark.parametrize(
    "form",
    [
        lambda masked: masked,
        lambda masked: {"prediction": masked},
        lambda masked: list(masked),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_what_is_masked_never_gets_out(form: Any, dtype: str) -> None:
    masked: Any = np.ma.array([1, 1, 1], mask=[False, True, False], dtype=dtype)
    out = rows(lambda batch: form(masked), *(reading(0, key=key) for key in "abc"))
    assert [row["prediction"] for row in out] == [1, None, 1]


def test_a_masked_array_of_columns_keeps_its_mask() -> None:
    hidden = np.array([[False, True], [False, False], [True, False]])
    masked: Any = np.ma.array([[1, 2], [3, 4], [5, 6]], mask=hidden)
    app = returning(lambda batch: masked, outputs=["a", "b"])
    out = app.test({"readings": [reading(0, key=key) for key in "abc"]})["results"]
    assert [(row.value["a"], row.value["b"]) for row in out] == [(1, None), (3, 4), (None, 6)]


def test_a_structured_array_gives_its_fields() -> None:
    said = np.array([(1, 0.5), (2, 1.5), (3, 2.5)], dtype=[("count", "i8"), ("score", "f4")])
    out = rows(lambda batch: said, *(reading(0, key=key) for key in "abc"))
    assert [(row["count"], row["score"]) for row in out] == [(1, 0.5), (2, 1.5), (3, 2.5)]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (lambda n: pd.DataFrame(np.zeros((n, 2))), "a frame with the column 0, which is no string"),
        (lambda n: pd.DataFrame(index=range(n)), "a frame without columns"),
        (lambda n: pd.DataFrame({"a": [1] * (n + 4)}), r"returned 5 rows in field \"a\" for 1 windows"),
        (lambda n: pd.DataFrame({"at": pd.to_datetime([0] * n)}), "datetime64.* in field .*at"),
        (lambda n: pd.DataFrame(np.zeros((n, 2)), columns=["a", "a"]), "the field .*a.* twice"),
        (lambda n: pa.Table.from_arrays([pa.array([1] * n)] * 2, names=["a", "a"]), "the field .*a.* twice"),
        (lambda n: pl.DataFrame({"key": [1] * n}), "a field named .*key"),
        (lambda n: pl.LazyFrame({"a": [1] * n}), r"a LazyFrame, which is a plan .*\.collect\(\)"),
    ],
)
def test_a_frame_that_is_no_result_is_refused(frame: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        returning(lambda batch: frame(len(batch))).test({"readings": readings(0)})


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "form",
    [
        lambda x: x[:, 0],
        lambda x: x[:, 0].tolist(),
        lambda x: {"prediction": x[:, 0]},
        lambda x: [{"prediction": value} for value in x[:, 0]],
        lambda x: pd.DataFrame({"prediction": x[:, 0]}),
    ],
)
def test_rows_beyond_the_windows_of_a_padded_batch_are_cut(form: Any, whole: bool) -> None:
    shapes = []

    def result(batch: WindowBatch) -> Any:
        x = batch.summary(["last"])
        shapes.append((len(batch), x.shape))
        return form(x if whole else x[: len(batch)])

    fed = [reading(0, float(number), key=f"k{number}") for number in range(5)]
    out = returning(result, pad_batch_to=4).test({"readings": fed})["results"]
    assert [record.value["prediction"] for record in out] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert shapes == [(3, (4, 1)), (2, (4, 1))]


def test_a_padded_batch_takes_no_other_number_of_rows() -> None:
    app = returning(lambda batch: [0] * 3, pad_batch_to=4)
    with pytest.raises(ModelError, match="returned 3 rows for 1 windows"):
        app.test({"readings": readings(0)})


def test_nan_and_infinities_become_null() -> None:
    values = np.array([np.nan, np.inf, -np.inf])
    assert [row["prediction"] for row in rows(lambda b: values[b.starts // 10_000])] == [None] * 3
    assert [row["prediction"] for row in rows(per_window(values.tolist()))] == [None] * 3


def test_floats_survive_to_the_last_bit() -> None:
    values = [0.1 + 0.2, 1e-310, 1.7976931348623157e308]
    assert [row["prediction"] for row in rows(lambda b: np.array(values)[b.starts // 10_000])] == values


@pytest.mark.parametrize(
    "result",
    [
        lambda batch: [0] * (len(batch) + 4),
        lambda batch: np.zeros(len(batch) + 4),
        lambda batch: {"right": [0] * len(batch), "wrong": [0] * (len(batch) + 4)},
    ],
)
def test_a_wrong_number_of_rows_is_refused_with_both_numbers(result: Any) -> None:
    app = returning(result)
    with pytest.raises(ModelError, match=r"(?=.*\b5\b)(?=.*\b1\b).*model") as caught:
        app.test({"readings": readings(0)})
    assert "of model model" in str(caught.value)


@pytest.mark.parametrize("field", ["key", "window", "n_events"])
def test_a_reserved_field_name_is_refused(field: str) -> None:
    with pytest.raises(ModelError, match=field):
        rows(lambda batch: {field: [0] * len(batch)})


@pytest.mark.parametrize(
    "result",
    [
        lambda batch: None,
        lambda batch: 3,
        lambda batch: "x" * len(batch),
        lambda batch: np.zeros((len(batch), 2)),
        lambda batch: {"field": 3},
        lambda batch: {3: [0] * len(batch)},
        lambda batch: [object()] * len(batch),
        lambda batch: [{1j: 0}] * len(batch),
        lambda batch: ["\ud800"] * len(batch),
        lambda batch: {"\ud800": [0] * len(batch)},
        lambda batch: [{"a": {"\ud800": 0}}] * len(batch),
        lambda batch: [{"a": 1}, "x", None][: len(batch)] * 3,
    ],
)
def test_a_result_of_another_form_is_refused(result: Any) -> None:
    with pytest.raises(ModelError, match="model"):
        rows(result)


@pytest.mark.parametrize(
    "value", [object(), b"x", {1}, 1j, 10**30, datetime(2026, 1, 1), np.datetime64("2026-01-01"), Decimal(1)]
)
def test_a_value_that_json_does_not_have_is_refused_with_those_that_it_has(value: Any) -> None:
    with pytest.raises(ModelError, match=r"in field .*JSON does not have: turn it into numbers, strings"):
        rows(lambda batch: {"at": [value] * len(batch)})


def test_an_output_record_says_which_window_it_is_of() -> None:
    app = returning(lambda batch: batch.lengths, name="counts", version="3")
    (record,) = app.test({"readings": readings(12_000, 13_000, partition=2)})["results"]
    assert (record.key, record.partition, record.timestamp) == (b"a", 2, 19_999)
    assert record.value == {
        "key": "a",
        "window": {"start": 10_000, "end": 20_000},
        "n_events": 2,
        "prediction": 2,
    }
    said = headers(record)
    assert (said["group"], said["model"], said["model-version"]) == ("group", "counts", "3")


def test_the_timestamp_of_an_output_record_is_never_negative() -> None:
    app, _ = recording_app()
    out = app.test({"readings": readings(-15_000)})
    assert [record.timestamp for record in out["results"]] == [0]


def test_a_key_that_is_not_utf8_is_kept_in_bytes_and_said_in_hex() -> None:
    app, seen = recording_app()
    (record,) = app.test({"readings": [Record({"ts": 0, "v": 1}, key=b"\xff\x01")]})["results"]
    assert seen.windows[0].key == b"\xff\x01"
    assert (record.key, record.value["key"]) == (b"\xff\x01", {"hex": "ff01"})


def test_ids_differ_by_window_and_are_the_same_in_every_run() -> None:
    fed = {
        "readings": [
            reading(ts, 0, key, partition) for ts in (0, 10_000) for key in "ab" for partition in (0, 1)
        ]
    }

    def ids(app: App) -> list[str]:
        return [headers(record)["id"] for record in app.test(fed)["results"]]

    app, _ = recording_app()
    assert len(set(ids(app))) == 8
    assert ids(app) == ids(recording_app()[0])
    assert set(ids(app)).isdisjoint(ids(recording_app(version="2")[0]))


def test_ids_outlive_a_version_of_the_library() -> None:
    app, _ = recording_app(version="3")
    day = 1_764_000_000_000
    fed = [reading(ts, key="device-17") for ts in (day, day + 10_000)]
    record, _ = app.test({"readings": fed})["results"]
    assert headers(record)["id"] == "046b896e1ddaba8ca2544e8c85cd93af"


def test_output_is_ordered_by_end_and_key_within_a_partition() -> None:
    app, _ = recording_app(HoppingWindow("10s", hop="2s", grace="0s"), workers=2, max_batch=3)
    fed = [reading(ts * 700, 0, "cab"[ts % 3], ts % 2) for ts in range(100)]
    out = app.test({"readings": fed})["results"]
    order = [(record.partition, record.value["window"]["end"], record.key) for record in out]
    assert order == sorted(order)
    assert len(set(order)) == len(order)
