"""A batch as frames of pandas, polars and pyarrow, and as an Arrow stream."""

import gc
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from harness import TUMBLING, recording_app
from millstream import Record, Topic, WindowBatch
from millstream._core import WindowBatch as CoreBatch

LONG = ["window", "key", "start", "end", "partition", "timestamp", "site", "x", "y"]
WIDE = ["key", "start", "end", "partition", "n_events", "timestamp", "site", "x", "y"]


def seen(
    fields: tuple[str, ...] = ("x", "y"),
    context: tuple[str, ...] = ("site",),
    dtype: Any = "float64",
    **options: Any,
) -> WindowBatch:
    """Return windows of 1, 2 and 3 events."""
    source = Topic("readings", timestamp="ts", fields=fields, context=context, missing="nan", dtype=dtype)
    app, recorder = recording_app(TUMBLING, source, **options)
    values = {"x": 0.5, "y": None, "key": 1, "window": 2}
    records = [
        Record({"ts": 100 * i, "site": f"s{key}", **values, "x": i}, key=key)
        for number, key in enumerate("abc")
        for i in range(number + 1)
    ]
    app.test({"readings": records})
    (batch,) = recorder.batches
    return batch


def utc(values: Any) -> list[pd.Timestamp]:
    return list(pd.to_datetime(values, unit="ms", utc=True))


def test_a_long_frame_has_a_row_per_event() -> None:
    batch = seen()
    frame = batch.to_pandas()
    assert list(frame.columns) == LONG
    window = np.repeat(np.arange(3), batch.lengths)
    assert frame["window"].tolist() == window.tolist()
    assert frame["key"].tolist() == batch.keys[window].tolist()
    assert frame["start"].tolist() == utc(batch.starts[window])
    assert frame["end"].tolist() == utc(batch.ends[window])
    assert frame["timestamp"].tolist() == utc(batch.timestamps)
    assert frame["site"].tolist() == batch.context["site"][window].tolist()
    np.testing.assert_array_equal(frame[["x", "y"]].to_numpy(), batch.values)


def test_a_frame_by_window_has_its_events_in_lists() -> None:
    batch = seen()
    frame = batch.to_pandas(long=False)
    assert list(frame.columns) == WIDE
    assert frame["n_events"].tolist() == batch.lengths.tolist()
    for i, window in enumerate(batch):
        np.testing.assert_array_equal(frame["x"][i], window["x"])
        assert frame["timestamp"][i].astype("int64").tolist() == window.timestamps.tolist()


@pytest.mark.parametrize("long", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("timestamps", [True, False])
def test_all_three_say_the_same(long: bool, dtype: str, timestamps: bool) -> None:
    batch = seen(dtype=dtype, timestamps=timestamps)
    arrow, polars, pandas = (
        batch.to_arrow(long=long),
        batch.to_polars(long=long),
        batch.to_pandas(long=long),
    )
    assert isinstance(arrow, pa.Table)
    assert isinstance(polars, pl.DataFrame)
    assert arrow.column_names == polars.columns == list(pandas.columns)
    assert ("timestamp" in polars.columns) == timestamps
    for name in arrow.column_names:
        rows = arrow[name].to_pylist()
        np.testing.assert_equal(polars[name].to_list(), rows)
        if long or name not in {"timestamp", "x", "y"}:
            np.testing.assert_equal(pandas[name].tolist(), rows)
    assert (pandas["x"].dtype if long else pandas["x"][0].dtype) == dtype
    item = arrow.schema.field("x").type
    assert (item if long else item.value_type) == (pa.float64() if dtype == "float64" else pa.float32())


def test_a_batch_is_an_arrow_stream_for_whoever_reads_one() -> None:
    batch = seen()
    for _ in range(2):
        assert pl.DataFrame(batch).equals(batch.to_polars())
        np.testing.assert_equal(pa.table(batch).to_pydict(), batch.to_arrow().to_pydict())


def test_a_stream_that_nobody_reads_is_let_go() -> None:
    capsules = [seen().__arrow_c_stream__() for _ in range(3)]
    capsules.clear()
    gc.collect()


def test_a_table_outlives_its_batch() -> None:
    batch = seen()
    expected = batch.values.tolist()
    table = batch.to_arrow()
    del batch
    gc.collect()
    np.testing.assert_equal(
        [list(row) for row in zip(*(table[n].to_pylist() for n in "xy"), strict=True)], expected
    )


@pytest.mark.parametrize("long", [True, False])
def test_a_declared_name_goes_before_one_of_ours(long: bool) -> None:
    batch = seen(fields=("key", "window"), context=("site", "key"))
    names = batch.to_arrow(long=long).column_names
    assert names == batch.to_polars(long=long).columns == list(batch.to_pandas(long=long).columns)
    assert names[:2] == (["window_", "key_"] if long else ["key_", "start"])
    assert names[-3:] == ["site", "key", "window"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (["a", None], pa.large_string()),
        ([1, 2], pa.int64()),
        ([1, 0.5], pa.float64()),
        ([2**64 - 1, None], pa.float64()),
        ([True, None], pa.bool_()),
        ([1, "x"], pa.large_string()),
        ([None, None], pa.large_string()),
    ],
)
def test_context_in_arrow_has_the_type_that_fits_all_values(said: list[Any], kind: Any) -> None:
    source = Topic("readings", timestamp="ts", context=["site"], missing="nan")
    app, recorder = recording_app(TUMBLING, source)
    app.test({"readings": [Record({"ts": 0, "site": s}, key=f"k{i}") for i, s in enumerate(said)]})
    column = recorder.batches[0].to_arrow()["site"]
    assert column.type == kind
    as_python: Any = {pa.large_string(): str, pa.float64(): float}.get(kind, lambda value: value)
    assert column.to_pylist() == [None if value is None else as_python(value) for value in said]


def test_keys_that_are_not_all_utf8_are_bytes() -> None:
    app, recorder = recording_app()
    app.test({"readings": [Record({"ts": 0, "v": 1}, key=key) for key in (b"\xff", b"a")]})
    (batch,) = recorder.batches
    assert sorted(batch.to_arrow()["key"].to_pylist()) == [b"a", b"\xff"]


def test_a_frame_is_a_copy() -> None:
    batch = seen()
    frame = batch.to_pandas()
    frame.loc[:, "x"] = -1.0
    assert -1.0 not in batch["x"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_library_that_is_not_there_is_named_with_the_extra(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    batch = CoreBatch.synthetic(["x"], 2, 3, True)
    method = {"pandas": "to_pandas", "polars": "to_polars", "pyarrow": "to_arrow"}[library]
    with pytest.raises(ModuleNotFoundError, match=rf"{method}\(\) needs {library}.*millstream\[{library}\]"):
        getattr(batch, method)()
