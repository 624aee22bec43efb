"""Dense arrays of a batch: the same as numpy and pandas make of the same ragged windows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness import recording_app
from millstream import ConfigError, Record, Topic, TumblingWindow, Window, WindowBatch
from millstream._core import WindowBatch as CoreBatch

SIZE = 10_000
STATS = ["count", "mean", "std", "min", "max", "first", "last", "slope", "energy", "missing"]
Floats = NDArray[np.float64]


def ragged(seed: int, dtype: str = "float64", **options: Any) -> WindowBatch:
    """Return windows of 1 to 40 events with gaps, ties, a key of nothing but NaN and one that turns NaN."""
    rng = np.random.default_rng(seed)
    records = []
    for key in ("lone", "none", "turns", *"abcde"[: rng.integers(1, 6)]):
        count = 1 if key == "lone" else int(rng.integers(1, 40))
        times = np.sort(rng.integers(0, SIZE // 100, count)) * 100
        values = rng.normal(0, 1_000, (count, 2)).round(int(rng.integers(0, 12)))
        values[rng.random((count, 2)) < 0.3] = np.nan
        if key == "none":
            values[:] = np.nan
        if key == "turns":
            values[1:] = np.nan
        for ts, row in zip(times.tolist(), values.tolist(), strict=True):
            x, y = (None if np.isnan(value) else value for value in row)
            records.append(Record({"ts": ts, "x": x, "y": y}, key=key))
    source = Topic("readings", timestamp="ts", fields=["x", "y"], missing="nan", dtype=dtype)  # type: ignore[arg-type]
    app, recorder = recording_app(TumblingWindow("10s", grace="0s"), source, **options)
    app.test({"readings": records})
    (batch,) = recorder.batches
    return batch


@pytest.fixture(params=range(12))
def batch(request: pytest.FixtureRequest) -> WindowBatch:
    return ragged(request.param)


def fields_of(window: Window) -> Iterator[tuple[int, Floats, Floats]]:
    """Yield place, times in ms since the window's start and values of each field, without NaN."""
    for place, name in enumerate(window.names):
        values = window[name]
        there = ~np.isnan(values)
        yield place, (window.timestamps[there] - window.start).astype(float), values[there]


def on_grid(batch: WindowBatch, length: int, fill: Callable[[Floats, Floats], Any]) -> Floats:
    """Return what `fill(times, values)` makes of each field of each window; NaN where there is no value."""
    expected = np.full((len(batch), length, 2), np.nan)
    for i, window in enumerate(batch):
        for place, times, values in fields_of(window):
            if len(values):
                expected[i, :, place] = fill(times, values)
    return expected


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("length", [None, 1, 3, 50])
def test_padding_is_what_copying_by_hand_gives(batch: WindowBatch, length: int | None, side: Any) -> None:
    places = int(batch.lengths.max()) if length is None else length
    expected = np.full((len(batch), places, 2), -1.0)
    real = np.zeros((len(batch), places), dtype=bool)
    for i, window in enumerate(batch):
        kept = window.values[-places:]
        at = slice(places - len(kept), None) if side == "left" else slice(len(kept))
        expected[i, at], real[i, at] = kept, True
    x, mask = batch.pad(length, side=side, value=-1)
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(mask, real)
    np.testing.assert_array_equal(batch.last(places, side=side, value=-1), expected)


@pytest.mark.parametrize("n", [1, 7, 100, 333])
def test_linear_is_numpys_interpolation(batch: WindowBatch, n: int) -> None:
    grid = np.arange(n) * SIZE / n
    expected = on_grid(batch, n, lambda times, values: np.interp(grid, times, values))
    np.testing.assert_allclose(batch.resample(n), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("n", [1, 7, 100])
def test_previous_is_pandas_forward_fill(batch: WindowBatch, n: int) -> None:
    grid = np.arange(n) * SIZE / n

    def fill(times: Floats, values: Floats) -> Any:
        return pd.Series(values, times).groupby(level=0).last().reindex(grid, method="ffill")

    np.testing.assert_array_equal(batch.resample(n, how="previous"), on_grid(batch, n, fill))


@pytest.mark.parametrize("n", [1, 7, 100])
def test_mean_is_that_of_each_bin(batch: WindowBatch, n: int) -> None:
    def fill(times: Floats, values: Floats) -> Any:
        bins = pd.Series(values).groupby((times * n // SIZE).astype(int)).mean()
        return bins.reindex(range(n))

    np.testing.assert_allclose(batch.resample(n, how="mean"), on_grid(batch, n, fill), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("every", ["100ms", "300ms", "4s", "1m"])
def test_every_is_pandas_resample(batch: WindowBatch, every: str) -> None:
    step = pd.Timedelta(every.replace("1m", "60s"))
    step_ms = step // pd.Timedelta("1ms")
    length = -(-SIZE // step_ms)
    grid = np.arange(length) * step_ms
    edges = pd.to_datetime(grid, unit="ms")

    def fill(times: Floats, values: Floats) -> Any:
        series = pd.Series(values, pd.to_datetime(times, unit="ms"))
        return series.resample(step, origin="epoch").mean().reindex(edges)

    mean = batch.resample(every=every, how="mean")
    np.testing.assert_allclose(mean, on_grid(batch, length, fill), rtol=1e-9, atol=1e-9)
    linear = on_grid(batch, length, lambda times, values: np.interp(grid, times, values))
    np.testing.assert_allclose(batch.resample(every=step.to_pytimedelta()), linear, rtol=1e-12, atol=1e-9)


def statistics(window: Window, name: str) -> list[float]:
    values = pd.Series(window[name])
    there, seconds = values.dropna(), window.timestamps[values.notna()] / 1000
    spread = len(set(seconds)) > 1
    return [
        there.count(),
        there.mean(),
        there.std(ddof=0),
        there.min(),
        there.max(),
        there.iloc[0] if len(there) else np.nan,
        there.iloc[-1] if len(there) else np.nan,
        np.polyfit(seconds, there, 1)[0] if spread else np.nan,
        np.square(there).sum(),
        values.isna().mean(),
    ]


def test_a_summary_is_what_pandas_says_of_each_field(batch: WindowBatch) -> None:
    expected = [statistics(window, "x") + statistics(window, "y") for window in batch]
    np.testing.assert_allclose(batch.summary(), expected, rtol=1e-7, atol=1e-7)
    assert batch.summary_names() == tuple(f"{field}_{stat}" for field in "xy" for stat in STATS)


def test_a_summary_holds_the_statistics_asked_for_in_their_order(batch: WindowBatch) -> None:
    names = list(batch.summary_names())
    columns = [names.index(name) for name in ("x_max", "x_mean", "y_max", "y_mean")]
    np.testing.assert_array_equal(batch.summary(["max", "mean"]), batch.summary()[:, columns])
    assert batch.summary_names(["max", "mean"]) == ("x_max", "x_mean", "y_max", "y_mean")


def test_channels_first_is_the_same_with_its_axes_swapped(batch: WindowBatch) -> None:
    for first, last in (
        (batch.pad(5, layout="nft")[0], batch.pad(5)[0]),
        (batch.pad(5, side="right", layout="nft")[0], batch.pad(5, side="right")[0]),
        (batch.last(50, layout="nft"), batch.last(50)),
        (batch.resample(9, layout="nft"), batch.resample(9)),
        (batch.resample(9, how="mean", layout="nft"), batch.resample(9, how="mean")),
    ):
        assert first.flags.c_contiguous
        np.testing.assert_array_equal(first, last.swapaxes(1, 2))


def arrays_of(batch: WindowBatch, **options: Any) -> list[NDArray[Any]]:
    grids: list[Any] = ["linear", "previous", "mean"]
    resampled = [batch.resample(9, how=how, **options) for how in grids]
    return [batch.pad(**options)[0], batch.last(3, **options), batch.summary(**options), *resampled]


def test_float32_is_float64_rounded(batch: WindowBatch) -> None:
    for single, double in zip(arrays_of(batch, dtype="float32"), arrays_of(batch), strict=True):
        assert (single.dtype.name, double.dtype.name) == ("float32", "float64")
        np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_a_topic_of_float32_gives_arrays_of_it(seed: int) -> None:
    single, double = ragged(seed, "float32"), ragged(seed)
    assert single.values.dtype == np.float32
    assert single[0].values.dtype == single["x"].dtype == np.float32
    np.testing.assert_array_equal(single.values, double.values.astype(np.float32))
    assert not single.values.flags.writeable
    for array, as_double in zip(arrays_of(single), arrays_of(single, dtype=np.float64), strict=True):
        assert (array.dtype.name, as_double.dtype.name) == ("float32", "float64")
        np.testing.assert_array_equal(array, as_double.astype(np.float32))


def test_dense_arrays_of_a_padded_batch_repeat_the_last_window() -> None:
    padded, plain = ragged(0, pad_batch_to=12), ragged(0)
    assert (len(padded), padded.lengths.tolist()) == (len(plain), plain.lengths.tolist())
    for more, exact in zip(arrays_of(padded), arrays_of(plain), strict=True):
        assert len(more) == 12
        np.testing.assert_array_equal(more[: len(plain)], exact)
        np.testing.assert_array_equal(more[len(plain) :], np.repeat(exact[-1:], 12 - len(plain), axis=0))
    mask = padded.pad()[1]
    assert mask.shape[0] == 12
    np.testing.assert_array_equal(mask[-1], mask[len(plain) - 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda b: b.pad(0), ValueError, "length=0 is out of range; it must be at least 1"),
        (lambda b: b.last(-1), ValueError, "n=-1 is out of range"),
        (lambda b: b.pad(side="up"), ValueError, 'side="up" is not accepted; write "left" or "right"'),
        (lambda b: b.pad(layout="tnf"), ValueError, 'layout="tnf" is not accepted; write "ntf" or "nft"'),
        (lambda b: b.pad(dtype="int64"), TypeError, 'dtype=int64 is not accepted; write "float32" or'),
        (lambda b: b.resample(), TypeError, "either n or every"),
        (lambda b: b.resample(3, every="1s"), TypeError, "either n or every"),
        (lambda b: b.resample(0), ValueError, "n=0 is out of range"),
        (lambda b: b.resample(every=5), ConfigError, "every=5"),
        (lambda b: b.resample(3, how="cubic"), ValueError, 'how="cubic" is not accepted; write "linear"'),
        (lambda b: b.summary(["median"]), ValueError, 'stats="median" is not accepted; write "count" or'),
        (lambda b: b.summary([]), ValueError, "names no statistic"),
        (lambda b: b.pad(1 << 60), MemoryError, "does not fit into memory"),
    ],
)
def test_a_wrong_argument_is_refused_with_the_fix(
    call: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call(CoreBatch.synthetic(["x", "y"], 3, 4, True))
    assert message in str(caught.value)


def test_what_needs_times_says_so_without_them() -> None:
    timeless = CoreBatch.synthetic(["x"], 3, 4, False)
    with pytest.raises(AttributeError, match="timestamps=False"):
        timeless.resample(3)
    with pytest.raises(AttributeError, match="timestamps=False"):
        timeless.summary(["slope"])
    assert timeless.summary(["mean", "last"]).shape == (3, 2)


def test_a_batch_without_fields_has_arrays_without_columns() -> None:
    batch = CoreBatch.synthetic([], 3, 4, True)
    x, mask = batch.pad()
    assert (x.shape, mask.tolist()) == ((3, 4, 0), [[True] * 4] * 3)
    assert batch.resample(5, layout="nft").shape == (3, 0, 5)
    assert batch.summary().shape == (3, 0)
