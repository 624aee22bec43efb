"""WindowBatch and Window: shapes, types, and that nothing in them can be changed."""

from typing import Any

import numpy as np
import pytest

from harness import Recorder, reading, recording_app
from millstream import HoppingWindow, Record, Topic, WindowBatch
from millstream._core import WindowBatch as CoreBatch

SOURCE = Topic("readings", timestamp="ts", fields=["x", "y"])
# Rows by hand: key, time, x, y.
ROWS = [("a", 0, 1.0, 10.0), ("b", 500, 2.0, 20.0), ("a", 1_000, 3.0, 30.0), ("a", 9_000, 4.0, 40.0)]


def seen_by_model(**options: Any) -> Recorder:
    app, recorder = recording_app(HoppingWindow("10s", hop="5s", grace="0s"), SOURCE, **options)
    fed = [Record({"ts": ts, "x": x, "y": y}, key=key) for key, ts, x, y in ROWS]
    app.test({"readings": fed})
    return recorder


@pytest.fixture(params=[256, 1], ids=["one batch of many", "a batch per window"])
def batches(request: pytest.FixtureRequest) -> list[WindowBatch]:
    return seen_by_model(max_batch=request.param).batches


@pytest.fixture
def batch() -> WindowBatch:
    return CoreBatch.synthetic(["x", "y"], 3, 4, True)


def test_every_array_has_its_shape_and_type(batches: list[WindowBatch]) -> None:
    for batch in batches:
        n, events = len(batch), int(batch.lengths.sum())
        arrays = {
            "keys": ((n,), "object"),
            "starts": ((n,), "int64"),
            "ends": ((n,), "int64"),
            "lengths": ((n,), "int64"),
            "partitions": ((n,), "int32"),
            "row_splits": ((n + 1,), "int64"),
            "values": ((events, 2), "float64"),
            "timestamps": ((events,), "int64"),
        }
        for name, (shape, dtype) in arrays.items():
            array = getattr(batch, name)
            assert (array.shape, array.dtype.name) == (shape, dtype), name
        assert batch.names == ("x", "y")


def test_row_splits_are_where_windows_begin_and_end(batches: list[WindowBatch]) -> None:
    for batch in batches:
        assert batch.row_splits[0] == 0
        assert batch.row_splits[-1] == len(batch.values)
        assert np.diff(batch.row_splits).tolist() == batch.lengths.tolist()


def test_max_batch_bounds_a_call() -> None:
    assert all(len(batch) == 1 for batch in seen_by_model(max_batch=1).batches)


def test_a_window_is_its_part_of_the_batch(batches: list[WindowBatch]) -> None:
    for batch in batches:
        for i, window in enumerate(batch):
            part = slice(batch.row_splits[i], batch.row_splits[i + 1])
            assert (window.key, window.start, window.end) == (batch.keys[i], batch.starts[i], batch.ends[i])
            assert window.partition == batch.partitions[i]
            assert len(window) == batch.lengths[i]
            assert window.names == batch.names
            np.testing.assert_array_equal(window.values, batch.values[part])
            np.testing.assert_array_equal(window.timestamps, batch.timestamps[part])
            np.testing.assert_array_equal(window["y"], batch["y"][part])


def test_windows_hold_the_events_of_their_key_in_order(batches: list[WindowBatch]) -> None:
    got = {
        (w.key, w.start): [(t, *row) for t, row in zip(w.timestamps, w.values, strict=True)]
        for w in (window for batch in batches for window in batch)
    }
    expected = {
        (key, start): [row[1:] for row in ROWS if row[0] == key and start <= row[1] < start + 10_000]
        for key in "ab"
        for start in (-5_000, 0, 5_000)
    }
    assert got == {window: events for window, events in expected.items() if events}


def test_pad_fills_on_the_left_and_masks_what_is_real(batches: list[WindowBatch]) -> None:
    for batch in batches:
        x, mask = batch.pad()
        longest = int(batch.lengths.max())
        assert (x.shape, x.dtype.name) == ((len(batch), longest, 2), "float64")
        assert (mask.shape, mask.dtype.name) == ((len(batch), longest), "bool")
        assert np.isnan(x[~mask]).all()
        for i, window in enumerate(batch):
            np.testing.assert_array_equal(x[i, longest - len(window) :], window.values)
            assert mask[i].tolist() == [False] * (longest - len(window)) + [True] * len(window)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_last_cuts_or_fills_on_the_left(batches: list[WindowBatch], n: int) -> None:
    for batch in batches:
        x = batch.last(n)
        assert (x.shape, x.dtype.name) == ((len(batch), n, 2), "float64")
        for i, window in enumerate(batch):
            kept = window.values[-n:]
            np.testing.assert_array_equal(x[i, n - len(kept) :], kept)
            assert np.isnan(x[i, : n - len(kept)]).all()


def test_last_needs_at_least_one_event(batch: WindowBatch) -> None:
    with pytest.raises(ValueError, match=r"0|1"):
        batch.last(0)


def test_a_field_name_gives_its_column(batch: WindowBatch) -> None:
    np.testing.assert_array_equal(batch["y"], batch.values[:, 1])
    with pytest.raises(KeyError, match="z"):
        batch["z"]
    with pytest.raises(KeyError, match="z"):
        batch[0]["z"]


def test_an_index_counts_from_either_end_and_has_bounds(batch: WindowBatch) -> None:
    assert batch[-1].key == batch[2].key
    for index in (3, -4):
        with pytest.raises(IndexError):
            batch[index]


def test_iteration_gives_each_window_once(batch: WindowBatch) -> None:
    assert [window.key for window in batch] == batch.keys.tolist()
    assert len(list(batch)) == len(batch) == 3


@pytest.mark.parametrize(
    "name", ["keys", "starts", "ends", "lengths", "partitions", "values", "row_splits", "timestamps"]
)
def test_arrays_of_a_batch_are_read_only(name: str) -> None:
    (batch, *_) = seen_by_model().batches
    array = getattr(batch, name)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = array[0]
    with pytest.raises(AttributeError):
        setattr(batch, name, array)


def test_views_into_a_batch_are_read_only(batch: WindowBatch) -> None:
    for array in (batch["x"], batch[0].values, batch[0]["x"], batch[0].timestamps):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_dense_arrays_are_the_models_own(batch: WindowBatch) -> None:
    before = batch.values.copy()
    x, mask = batch.pad()
    x[:], mask[:] = 0, False
    batch.last(2)[:] = 0
    np.testing.assert_array_equal(batch.values, before)


def test_a_batch_outlives_its_call() -> None:
    batches = seen_by_model().batches
    before = [batch.values.tolist() for batch in batches]
    seen_by_model()
    assert [batch.values.tolist() for batch in batches] == before


def test_without_timestamps_reading_them_is_an_error() -> None:
    for batch in seen_by_model(timestamps=False).batches:
        with pytest.raises(AttributeError, match="timestamps"):
            _ = batch.timestamps
        with pytest.raises(AttributeError, match="timestamps"):
            _ = batch[0].timestamps
        assert batch.values.shape[1] == 2


def test_a_topic_without_fields_gives_windows_of_times() -> None:
    app, recorder = recording_app(source=Topic("readings", timestamp="ts"))
    app.test({"readings": [reading(0), reading(1)]})
    (window,) = recorder.windows
    assert window.values.shape == (2, 0)
    assert window.timestamps.tolist() == [0, 1]


@pytest.mark.parametrize("timestamps", [True, False])
def test_a_synthetic_batch_looks_like_a_real_one(timestamps: bool) -> None:
    batch = CoreBatch.synthetic(["x", "y"], 3, 4, timestamps)
    assert (len(batch), batch.names) == (3, ("x", "y"))
    assert batch.values.shape == (12, 2)
    assert np.isfinite(batch.values).all()
    assert batch.lengths.tolist() == [4, 4, 4]
    assert batch.last(4).shape == (3, 4, 2)
    if timestamps:
        for window in batch:
            assert ((window.start <= window.timestamps) & (window.timestamps < window.end)).all()
    else:
        with pytest.raises(AttributeError, match="timestamps"):
            _ = batch.timestamps
