"""What a model may return, and the output record that each window becomes."""

from typing import Any

import numpy as np
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
    "values", [[1, 2, 3], [0.5, 1.5, -2.0], ["a", "ä", ""], [None, True, False], [{"a": [1]}, [], "x"]]
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
    ],
)
def test_a_result_of_another_form_is_refused(result: Any) -> None:
    with pytest.raises(ModelError, match="model"):
        rows(result)


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


def test_output_is_ordered_by_end_and_key_within_a_partition() -> None:
    app, _ = recording_app(HoppingWindow("10s", hop="2s", grace="0s"), workers=2, max_batch=3)
    fed = [reading(ts * 700, 0, "cab"[ts % 3], ts % 2) for ts in range(100)]
    out = app.test({"readings": fed})["results"]
    order = [(record.partition, record.value["window"]["end"], record.key) for record in out]
    assert order == sorted(order)
    assert len(set(order)) == len(order)
