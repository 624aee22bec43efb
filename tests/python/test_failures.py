"""A model that fails on a window: its siblings come out, it is a dead letter that says everything, once."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness import READINGS, TUMBLING, headers, reading, readings
from millstream import App, HoppingWindow, ModelError, Record, Topic, TumblingWindow, WindowBatch

KEYS = [f"k{n:02}" for n in range(16)]


def app_of(predict: Callable[[WindowBatch], Any], **options: Any) -> App:
    """Return an app with one model `m`, `readings` -> `results`."""
    app = App("app", group_id="group")
    app.model(source=READINGS, window=TUMBLING, sink="results", name="m", **options)(predict)
    return app


def poisoned(*keys: str) -> Callable[[WindowBatch], Any]:
    """Return a model that raises where one of these keys is in the batch."""

    def predict(batch: WindowBatch) -> Any:
        for key in batch.keys:
            if key in keys:
                raise ValueError(f"cannot bear {key}")
        return batch.lengths

    return predict


def one_each(keys: list[str] = KEYS, ts: int = 0) -> dict[str, list[Record]]:
    """Return a reading of each key at the same time."""
    return {"readings": [reading(ts, n / 4, key) for n, key in enumerate(keys)]}


def keys_of(records: list[Record]) -> list[str]:
    return [record.key.decode() for record in records if isinstance(record.key, bytes)]


def test_siblings_of_a_poison_window_get_their_results_in_order() -> None:
    app = app_of(poisoned("k05", "k11"))
    out = app.test(one_each())
    assert keys_of(out["results"]) == [key for key in KEYS if key not in ("k05", "k11")]
    assert keys_of(out["app.dead-letter"]) == ["k05", "k11"]


def test_the_dead_letter_of_a_window_says_what_was_in_it_and_what_happened() -> None:
    app = app_of(poisoned("b"), version="7")
    fed = [reading(3, 0.1, "b", 1), reading(1, float(2**53), "b", 1), reading(0, 1, "a", 1)]
    out = app.test({"readings": fed})
    (dead,) = out["app.dead-letter"]
    said = headers(dead)
    assert (dead.key, dead.partition, dead.timestamp) == (b"b", 1, 9_999)
    assert isinstance(dead.value, dict)
    traceback = dead.value.pop("traceback")
    assert dead.value == {
        "id": said["id"],
        "model": "m",
        "version": "7",
        "sink": "results",
        "key": "b",
        "window": {"start": 0, "end": 10_000},
        "n_events": 2,
        "topic": "readings",
        "partition": 1,
        "fields": ["v"],
        "values": [[float(2**53)], [0.1]],
        "timestamps": [1, 3],
        "context": {},
        "reason": "model_error",
        "error": "ValueError: cannot bear b",
    }
    assert traceback.startswith("Traceback (most recent call last):")
    assert "in predict" in traceback
    assert traceback.endswith("ValueError: cannot bear b")
    assert (said["reason"], said["detail"]) == ("model_error", "ValueError: cannot bear b")
    assert (said["topic"], said["partition"]) == ("readings", "1")
    assert (said["group"], said["model"], said["model-version"]) == ("group", "m", "7")


def test_the_id_of_a_dead_letter_is_that_of_the_result_it_stands_for() -> None:
    (result,) = app_of(lambda batch: batch.lengths).test(one_each(["a"]))["results"]
    (dead,) = app_of(poisoned("a")).test(one_each(["a"]))["app.dead-letter"]
    assert headers(dead)["id"] == headers(result)["id"]


def test_nan_and_missing_timestamps_are_null_in_a_dead_letter() -> None:
    app = App("app")
    source = Topic("readings", timestamp="ts", fields=["v", "w"], missing="nan")
    app.model(source=source, window=TUMBLING, sink="results", timestamps=False)(poisoned("a"))
    (dead,) = app.test({"readings": [Record({"ts": 0, "w": 2}, key="a")]})["app.dead-letter"]
    assert isinstance(dead.value, dict)
    assert (dead.value["values"], dead.value["timestamps"]) == ([[None, 2.0]], None)


def test_the_context_of_a_window_and_its_narrow_floats_are_in_its_dead_letter() -> None:
    app = App("app")
    source = Topic("readings", timestamp="ts", fields=["v"], context=["site"], dtype="float32")
    app.model(source=source, window=TUMBLING, sink="results")(poisoned("b"))
    fed = [Record({"ts": n, "v": 0.1, "site": f"s{n}"}, key=key) for key in "abc" for n in range(2)]
    (dead,) = app.test({"readings": fed})["app.dead-letter"]
    assert isinstance(dead.value, dict)
    assert (dead.value["values"], dead.value["context"]) == ([[0.1], [0.1]], {"site": "s1"})


def test_a_window_of_which_the_model_says_nothing_is_no_failure() -> None:
    app = app_of(lambda batch: [None] * len(batch))
    out = app.test(one_each())
    assert (out["results"], out["app.dead-letter"]) == ([], [])
    model = app.metrics()["models"]["m"]
    assert (model["windows_closed"], model["windows_silent"], model["failed_calls"]) == (16, 16, 0)


def test_skipped_windows_are_counted() -> None:
    app = app_of(poisoned("k03"), on_error="skip")
    out = app.test(one_each())
    assert (len(out["results"]), out["app.dead-letter"]) == (15, [])
    model = app.metrics()["models"]["m"]
    assert (model["windows_closed"], model["windows_produced"], model["windows_dropped"]) == (16, 15, 1)


def test_dead_letters_and_calls_are_counted() -> None:
    app = app_of(poisoned("k03"))
    app.test(one_each())
    metrics = app.metrics()
    model = metrics["models"]["m"]
    assert model["dead_letters"] == {"model_error": 1}
    assert metrics["dead_letters"] == 1
    assert metrics["sources"]["readings"]["dead_letters"] == {}
    assert (model["batches"], model["failed_calls"], model["retries"]) == (9, 5, 0)


def test_a_batch_holds_no_more_events_than_it_may_but_for_a_single_window() -> None:
    sizes: list[list[int]] = []

    def predict(batch: WindowBatch) -> Any:
        sizes.append(batch.lengths.tolist())
        return batch.lengths

    app = app_of(predict, max_batch_events=7)
    counts = [3, 3, 3, 9, 1, 7]
    fed = [reading(n, n, key) for key, count in zip("abcdef", counts, strict=True) for n in range(count)]
    app.test({"readings": fed})
    assert sorted(size for batch in sizes for size in batch) == sorted(counts)
    assert all(len(batch) == 1 or sum(batch) <= 7 for batch in sizes), sizes
    assert len(sizes) < len(counts)


def test_a_call_that_raised_is_made_again() -> None:
    left = [2]

    def predict(batch: WindowBatch) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise OSError("the feature store is away")
        return batch.lengths

    app = app_of(predict, retries=2)
    out = app.test(one_each())
    assert (len(out["results"]), out["app.dead-letter"]) == (16, [])
    assert app.metrics()["models"]["m"]["retries"] == 2


def test_with_fail_the_exception_leaves_the_run_after_the_retries() -> None:
    calls: list[int] = []

    def predict(batch: WindowBatch) -> Any:
        calls.append(len(batch))
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        app_of(predict, retries=2, on_error="fail").test(one_each())
    assert calls == [16, 16, 16]


def test_three_batches_of_nothing_but_failures_end_the_run_with_the_exception_as_cause() -> None:
    app = App("app")
    window = TumblingWindow("1s", grace="0s")
    app.model(source=READINGS, window=window, sink="results", name="m", max_batch=16)(poisoned(*KEYS))
    fed = [reading(ts * 1_000, 0, key) for ts in range(5) for key in KEYS]
    with pytest.raises(ModelError, match=r"model m .* 3 batches in a row, 48 windows.*cannot bear") as caught:
        app.test({"readings": fed})
    assert isinstance(caught.value.__cause__, ValueError)


def test_sys_exit_in_a_model_is_a_failure_of_the_window() -> None:
    def predict(batch: WindowBatch) -> Any:
        if "k01" in batch.keys:
            sys.exit(3)
        return batch.lengths

    out = app_of(predict).test(one_each())
    assert keys_of(out["app.dead-letter"]) == ["k01"]
    assert len(out["results"]) == 15


def test_a_keyboard_interrupt_in_a_model_ends_the_run() -> None:
    def predict(batch: WindowBatch) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        app_of(predict).test(one_each())


def test_the_arrays_of_a_failed_call_are_the_same_in_the_next_one() -> None:
    seen: list[tuple[list[float], list[int], list[int]]] = []

    def predict(batch: WindowBatch) -> Any:
        seen.append((batch["v"].tolist(), batch.timestamps.tolist(), batch.row_splits.tolist()))
        if len(seen) == 1:
            raise ValueError("once")
        return batch.lengths

    app = app_of(predict, retries=1)
    app.test({"readings": [*readings(1, 2, 3, key="a"), *readings(4, 5, key="b")]})
    assert seen[0] == seen[1] == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [0, 3, 5])


WRONG_ROWS = [
    lambda batch: [0] * (len(batch) - 1),
    lambda batch: np.zeros(len(batch) + 3),
    lambda batch: {"a": [0] * len(batch), "b": [0] * (2 * len(batch))},
    lambda batch: [float(batch["v"].mean())],
]


@pytest.mark.parametrize("result", WRONG_ROWS)
def test_a_model_that_never_returns_a_row_per_window_ends_the_run_with_both_numbers(result: Any) -> None:
    app = app_of(result)
    with pytest.raises(ModelError, match=r"of model m returned \d+ rows.* for \d+ windows"):
        app.test(one_each())


def test_rows_that_only_a_window_spoils_are_its_own_fault() -> None:
    def predict(batch: WindowBatch) -> Any:
        return [n for key, n in zip(batch.keys, batch.lengths, strict=True) if key != "k07"]

    out = app_of(predict).test(one_each())
    assert len(out["results"]) == 15
    (dead,) = out["app.dead-letter"]
    assert "returned 0 rows for 1 windows" in headers(dead)["detail"]


def test_rows_that_are_wrong_only_in_company_end_the_run() -> None:
    def predict(batch: WindowBatch) -> Any:
        return list(range(len(set(batch.keys))))

    fed = {"readings": [*readings(0, 10_000, key="a"), *readings(0, 10_000, key="b")]}
    hopping = App("app")
    window = HoppingWindow("20s", hop="10s", grace="0s")
    hopping.model(source=READINGS, window=window, sink="results", name="m")(predict)
    with pytest.raises(ModelError, match=r"returned 2 rows for [456] windows"):
        hopping.test({"readings": [*fed["readings"], *readings(100_000, key="c")]})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "a object in field"),
        (2**70, "beyond 64 bits"),
        (b"bytes", "a bytes in field"),
        ({1: 2}, "a dict with the key 1"),
    ],
)
def test_a_value_that_json_does_not_have_fails_its_window(value: Any, words: str) -> None:
    def predict(batch: WindowBatch) -> Any:
        return [value if key == "k02" else 1 for key in batch.keys]

    out = app_of(predict).test(one_each())
    assert len(out["results"]) == 15
    (dead,) = out["app.dead-letter"]
    assert (headers(dead)["reason"], dead.key) == ("model_error", b"k02")
    assert words in headers(dead)["detail"]


def test_a_result_that_is_too_large_fails_its_window_alone_and_without_another_call() -> None:
    def predict(batch: WindowBatch) -> Any:
        return ["x" * (2 << 20) if key == "k02" else "x" for key in batch.keys]

    app = app_of(predict)
    out = app.test(one_each())
    assert len(out["results"]) == 15
    (dead,) = out["app.dead-letter"]
    assert (headers(dead)["reason"], dead.key) == ("result_too_large", b"k02")
    assert isinstance(dead.value, dict)
    assert dead.value["values"] == [[0.5]]
    assert all(
        word in headers(dead)["detail"] for word in ('"k02" [0, 10000)', "2097", "1048588", "'results'"[1:-1])
    )
    assert app.metrics()["models"]["m"]["batches"] == 1
    with pytest.raises(ModelError, match="result_too_large"):
        app_of(predict, on_error="fail").test(one_each())


def test_an_exception_that_cannot_be_shown_is_still_contained() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def predict(batch: WindowBatch) -> Any:
        if "k04" in batch.keys:
            raise Mute
        return batch.lengths

    out = app_of(predict).test(one_each())
    (dead,) = out["app.dead-letter"]
    assert "Mute" in headers(dead)["detail"]


def test_a_huge_message_is_cut_in_the_header_and_the_traceback_kept_from_its_end() -> None:
    def predict(batch: WindowBatch) -> Any:
        if "k04" in batch.keys:
            raise ValueError("ä" * 100_000 + "!")
        return batch.lengths

    (dead,) = app_of(predict).test(one_each())["app.dead-letter"]
    assert len(headers(dead)["detail"].encode()) <= 1_024
    assert isinstance(dead.value, dict)
    assert len(dead.value["traceback"].encode()) <= 16_384
    assert dead.value["traceback"].endswith("ä!")
