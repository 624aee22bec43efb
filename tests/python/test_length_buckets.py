"""`length_buckets`: a call has windows of one bucket only, and nothing else changes."""

import bisect
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import process_models
from harness import READINGS, TUMBLING, Recorder, reading, recording_app
from millstream import App, ConfigError, HoppingWindow, Record, Topic, WindowBatch
from millstream._core import Consumer, EmbeddedBroker, Producer

Buckets = Sequence[int] | Literal["exact"]

buckets = st.just("exact") | st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True).map(sorted)


def windows_of(lengths: Sequence[int], per_window: int = 3) -> list[Record]:
    """Return readings that make a window of each length, so many keys side by side, in two partitions."""
    fed = []
    for n, length in enumerate(lengths):
        start, key = 10_000 * (n // per_window), n % per_window
        fed += [reading(start + i, n + i / 64, f"k{key}", key % 2) for i in range(length)]
    return fed


def bucket_of(length: int, chosen: Buckets) -> int:
    return length if isinstance(chosen, str) else bisect.bisect_left(chosen, length)


def assert_one_bucket_each(calls: Sequence[Sequence[int]], chosen: Buckets) -> None:
    """Check the lengths of the windows of each call."""
    for lengths in calls:
        assert len({bucket_of(int(length), chosen) for length in lengths}) == 1, (lengths, chosen)


def calls_of(recorder: Recorder) -> list[list[int]]:
    return [batch.lengths.tolist() for batch in recorder.batches]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 15), min_size=1, max_size=40),
    chosen=buckets,
    most=st.integers(1, 9),
    most_events=st.none() | st.integers(1, 40),
    workers=st.integers(1, 3),
)
def test_every_call_is_of_one_bucket_and_results_are_those_without(
    lengths: list[int], chosen: Any, most: int, most_events: int | None, workers: int
) -> None:
    options: dict[str, Any] = {"max_batch": most, "max_batch_events": most_events, "workers": workers}
    fed = {"readings": windows_of(lengths)}
    plain, wanted = recording_app(**options)
    app, recorder = recording_app(length_buckets=chosen, **options)
    assert app.test(fed, drain=True) == plain.test(fed, drain=True)
    assert recorder.contents == wanted.contents
    calls = calls_of(recorder)
    assert sorted(chain(*calls)) == sorted(lengths)
    assert_one_bucket_each(calls, chosen)
    for call in calls:
        assert len(call) <= most
        assert most_events is None or sum(call) <= most_events or len(call) == 1


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 15), min_size=1, max_size=60), chosen=buckets, most=st.integers(1, 5))
def test_a_backtest_keeps_to_the_buckets_too(lengths: list[int], chosen: Any, most: int) -> None:
    rows = [(r.value["ts"], r.value["v"], r.key) for r in windows_of(lengths) if isinstance(r.value, dict)]
    frame = pl.DataFrame(rows, schema=["ts", "v", "key"], orient="row")
    plain, _ = recording_app(max_batch=most)
    app, recorder = recording_app(max_batch=most, length_buckets=chosen)
    assert app.backtest(frame, drain=True).equals(plain.backtest(frame, drain=True))
    calls = calls_of(recorder)
    assert sorted(chain(*calls)) == sorted(lengths)
    assert_one_bucket_each(calls, chosen)


def test_a_backtest_calls_a_bucket_that_never_fills_before_the_end() -> None:
    # One window of 2 events at first, then many of one: what the first needs is not to be kept to the end.
    lengths = [2] + [1] * 40_000
    rows = [(10_000 * n + i, 0.0, "a") for n, length in enumerate(lengths) for i in range(length)]
    frame = pl.DataFrame(rows, schema=["ts", "v", "key"], orient="row")
    app, recorder = recording_app(max_batch=16, length_buckets="exact")
    app.backtest(frame, drain=True, workers=1)
    calls = calls_of(recorder)
    assert sum(map(len, calls[: calls.index([2])])) < 20_000


def test_exactly_one_length_makes_a_dense_array_without_a_gap() -> None:
    shapes = []

    def predict(batch: WindowBatch) -> Any:
        dense = batch.values.reshape(len(batch), -1)
        assert batch.pad()[1].all()
        shapes.append(dense.shape)
        return dense.sum(axis=1)

    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="results", length_buckets="exact")(predict)
    out = app.test({"readings": windows_of([3, 5, 3, 5, 5, 3], per_window=6)}, drain=True)
    assert (sorted(shapes), len(out["results"])) == ([(3, 3), (3, 5)], 6)


class Ending:
    """A fitted estimator: the last value of its features."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def predict(self, features: Any) -> Any:
        self.widths.append(features.shape[1])
        return features[:, -1]


def test_estimators_take_buckets_as_functions_do() -> None:
    app, estimator = App("app"), Ending()
    app.add_model(
        estimator,
        source=READINGS,
        window=TUMBLING,
        sink="results",
        features=lambda batch: batch.pad()[0][:, :, 0],
        length_buckets=(2, 8),
    )
    out = app.test({"readings": windows_of([1, 2, 8, 7, 1, 2], per_window=6)}, drain=True)
    assert (sorted(estimator.widths), len(out["results"])) == ([2, 8], 6)


def test_a_fixed_batch_dimension_is_filled_within_a_bucket() -> None:
    shapes = []

    def predict(batch: WindowBatch) -> Any:
        shapes.append(batch.pad()[0].shape)
        return batch.pad()[0][:, -1, 0]

    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="out", pad_batch_to=4, length_buckets=(2,))(predict)
    out = app.test({"readings": windows_of([1, 2, 5, 6, 7], per_window=5)}, drain=True)
    assert (sorted(shapes), len(out["out"])) == ([(4, 2, 1), (4, 7, 1)], 5)


def test_processes_get_batches_of_one_bucket() -> None:
    lengths = [1, 9, 2, 8, 1, 4, 4, 3, 9] * 3
    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="out", pool="processes", length_buckets=[2, 4])(
        process_models.beside
    )
    out = app.test({"readings": windows_of(lengths, per_window=9)}, drain=True)["out"]
    values = [record.value for record in out if isinstance(record.value, dict)]
    assert sorted(value["n_events"] for value in values) == sorted(lengths)
    assert_one_bucket_each([value["beside"] for value in values], [2, 4])
    assert max(len(value["beside"]) for value in values) > 1


def test_live_batches_are_of_one_bucket_and_a_poison_window_does_not_change_that() -> None:
    lengths = [1 + n * 7 % 23 for n in range(400)]
    broker = EmbeddedBroker.get()
    broker.create_topic("mixed-lengths", 2)
    producer = Producer(broker.brokers)
    for record in windows_of(lengths, per_window=40):
        assert isinstance(record.value, dict)
        assert isinstance(record.key, bytes)
        value = b'{"ts": %d, "v": %f}' % (record.value["ts"], record.value["v"])
        key, partition = record.key, record.partition
        producer.send("mixed-lengths", value, key=key, timestamp=record.value["ts"], partition=partition)
    producer.flush()
    producer.close()
    calls: list[list[int]] = []

    def predict(batch: WindowBatch) -> Any:
        calls.append(batch.lengths.tolist())
        if np.any((batch.keys == "k7") & (batch.starts == 10_000)):
            raise ValueError("poison")
        return batch.lengths

    app = App("mixed", brokers="embedded")
    source = Topic("mixed-lengths", timestamp="ts", timestamp_unit="ms", fields=["v"])
    app.model(
        source,
        window=HoppingWindow("10s", hop="5s", grace="0s"),
        sink="mixed.out",
        workers=2,
        retries=1,
        name="m",
        length_buckets=(4, 12),
    )(predict)
    app.run(until="end", drain=True)
    counted = app.metrics()["models"]["m"]
    # The window of the second tumble and no other has that start and key.
    assert counted["dead_letters"] == {"model_error": 1}
    assert counted["windows_produced"] == counted["windows_closed"] - 1
    assert_one_bucket_each(calls, [4, 12])
    assert max(map(len, calls)) > 1
    consumer = Consumer(broker.brokers, "mixed.out")
    ends: dict[tuple[int, bytes | None], int] = {}
    found = 0
    while found < counted["windows_produced"]:
        for partition, _, name, _, time, _ in consumer.poll(0.1):
            found += 1
            assert ends.get((partition, name), -1) < time
            ends[partition, name] = time
    consumer.close()


class Warmed:
    """A model that is warmed up."""

    lengths: ClassVar[list[list[int]]] = []

    def warmup(self, batch: WindowBatch) -> None:
        """Remember the lengths."""
        Warmed.lengths.append(batch.lengths.tolist())

    def predict(self, batch: WindowBatch) -> Any:
        """Return the lengths."""
        return batch.lengths


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [[32] * 8]),
        ({"length_buckets": (4, 64)}, [[4] * 8, [64] * 8]),
        ({"length_buckets": (4, 64), "max_batch_events": 100}, [[4] * 8, [64]]),
        ({"length_buckets": "exact", "max_batch": 2}, [[32] * 2]),
    ],
)
def test_warm_up_is_once_for_each_bound(options: dict[str, Any], wanted: list[list[int]]) -> None:
    Warmed.lengths.clear()
    app = App("app")
    app.model(READINGS, window=TUMBLING, sink="out", **options)(Warmed)
    app.test({"readings": [reading(0)]}, drain=True)
    assert Warmed.lengths == wanted


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("same", r"length_buckets='same': is neither a sequence .*nor \"exact\"; write upper bounds such as"),
        (64, r"length_buckets=64: is neither a sequence"),
        ([], r"length_buckets=\[\]: has no bound"),
        ([4, 4], r"length_buckets=\[4, 4\]: has 4 after 4: bounds must rise; sort them"),
        ((64, 16), r"length_buckets=\(64, 16\): has 16 after 64"),
        ([0, 4], r"length_buckets\[0\]=0: is out of range"),
        ([1.5], r"length_buckets\[0\]=1.5: is a float, not a whole number"),
        (range(1, 300), r"length_buckets=range\(1, 300\): has 299 bounds, 256 is the most"),
        (np.array([4, 8]), r"length_buckets=array\(\[4, 8\]\): is neither a sequence"),
    ],
)
def test_what_are_no_buckets_is_refused_with_the_value_and_the_fix(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match="model 'm' " + message):
        recording_app(length_buckets=value)


def test_single_windows_have_no_batch_to_divide() -> None:
    with pytest.raises(ConfigError, match=r"batch=False: does not go with length_buckets; leave one of them"):
        recording_app(batch=False, length_buckets="exact")
