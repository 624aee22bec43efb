"""`@app.batch` scores every event: once, in offset order, with its key, partition and time."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import READINGS, Recorder, headers, readings, recording_app
from millstream import (
    Advance,
    App,
    ConfigError,
    Event,
    EventBatch,
    ModelError,
    Record,
    Topic,
    TumblingWindow,
    WindowBatch,
)

# Event times go back and forth, keys and partitions mix.
TIMES = [5_000, 1_000, 9_000, -3_000, 9_000, 2_000_000, 4_000]
MIXED = [
    Record({"ts": ts, "v": float(i)}, key="ab"[i % 2], partition=i % 3) for i, ts in enumerate(TIMES * 3)
]


class Scorer:
    """A model that keeps its batches, raises on the values of `poison`, and returns twice the value."""

    def __init__(self, *poison: float) -> None:
        self.batches: list[EventBatch] = []
        self.poison = poison

    def __call__(self, batch: EventBatch) -> dict[str, Any]:
        self.batches.append(batch)
        for value in batch["v"]:
            if value in self.poison:
                raise ValueError(f"no {value:.0f}")
        return {"score": batch["v"] * 2}

    @property
    def sizes(self) -> list[int]:
        """The events of each call."""
        return [len(batch) for batch in self.batches]


def scoring_app(
    *poison: float, source: Topic = READINGS, epoch: str = "100ms", **options: Any
) -> tuple[App, Scorer]:
    """Return an app called `app` with one model `m` of single events, `readings` -> `scores`."""
    app, scorer = App("app", epoch=epoch), Scorer(*poison)
    app.batch(source, sink="scores", name="m", **options)(scorer)
    return app, scorer


def counted(app: App) -> dict[str, Any]:
    """Return the counters of model `m`, and of its source what was consumed and was no event."""
    metrics = app.metrics()
    source = metrics["sources"]["readings"]
    return {
        **metrics["models"]["m"],
        "consumed": source["consumed"],
        "undecodable": sum(source["dead_letters"].values()),
    }


def test_every_event_has_a_result_in_offset_order_with_its_key_partition_and_time() -> None:
    app, _ = scoring_app()
    out = app.test({"readings": MIXED})["scores"]

    for partition in range(3):
        fed = [record for record in MIXED if record.partition == partition]
        found = [record for record in out if record.partition == partition]
        assert [(r.key, r.timestamp) for r in found] == [(f.key, max(0, f.value["ts"])) for f in fed]
        assert [r.value for r in found] == [
            {
                "key": "ab"[MIXED.index(f) % 2],
                "timestamp": f.value["ts"],
                "offset": i,
                "score": 2 * f.value["v"],
            }
            for i, f in enumerate(fed)
        ]


def test_ids_are_of_the_event_and_the_model_and_the_same_each_time() -> None:
    ids = []
    for options in ({}, {"max_events": 1}, {"version": "2"}):
        app, _ = scoring_app(**options)
        out = app.test({"readings": MIXED})["scores"]
        ids.append([headers(record)["id"] for record in out])
        assert {(headers(r)["model"], headers(r)["group"]) for r in out} == {("m", "app")}
    assert ids[0] == ids[1]
    # Of this event in each version of the library.
    assert ids[0][0] == "28782afaa9d361be3a982e174e5e1b9e"
    assert len(set(ids[0]) | set(ids[2])) == 2 * len(MIXED)


def test_a_batch_gives_the_events_as_arrays_and_one_by_one() -> None:
    source = Topic("readings", timestamp="ts", fields=["b", "a"], context=["site"], dtype="float32")
    app = App("app", epoch="1h")
    seen: list[EventBatch] = []

    @app.batch(source, sink="scores", max_events=2)
    def model(batch: EventBatch) -> list[None]:
        seen.append(batch)
        return [None] * len(batch)

    # The first event moves the clock of the test to its time, and so goes alone.
    sites = [("", 0), ("x", 0), ("y", 1)]
    fed = [
        Record({"ts": 1, "a": part, "b": -part, "site": site}, key=b"\xff", partition=part)
        for site, part in sites
    ]
    app.test({"readings": fed})
    batch = seen[-1]
    assert isinstance(batch, EventBatch)
    order = np.argsort(batch.partitions)
    assert batch.names == ("b", "a")
    assert batch.values.dtype == np.float32
    assert batch.values[order].tolist() == [[0, 0], [-1, 1]]
    assert batch["a"][order].tolist() == [0, 1]
    assert batch.timestamps.tolist() == [1, 1]
    assert batch.partitions[order].tolist() == [0, 1]
    assert batch.offsets[order].tolist() == [1, 0]
    assert list(batch.keys) == [b"\xff", b"\xff"]
    assert batch.context["site"][order].tolist() == ["x", "y"]
    for array in (batch.values, batch.timestamps, batch.offsets, batch.partitions, batch.keys):
        assert not array.flags.writeable
    event = next(event for event in batch if event.partition == 1)
    assert isinstance(event, Event)
    assert (event.key, event.timestamp, event.partition, event.offset) == (b"\xff", 1, 1, 0)
    assert (float(event["a"]), event.values.tolist()) == (1.0, [-1, 1])
    assert event.names == ("b", "a")
    assert event.context == {"site": "y"}
    assert batch[-1].partition == batch.partitions[-1]
    assert repr(event) == "<Event b'\\xff' of 1 ms at offset 0 of partition 1>"
    assert "2 events" in repr(batch)
    with pytest.raises(IndexError, match="event 2 of a batch of 2"):
        batch[2]
    with pytest.raises(KeyError, match=r'no field "c'):
        batch["c"]
    with pytest.raises(TypeError, match="an int or a field's name, not float"):
        batch[1.0]  # type: ignore[call-overload]


def test_a_kept_array_outlives_its_batch() -> None:
    app, scorer = scoring_app(max_events=2)
    app.test({"readings": readings(*range(100))})
    kept = [batch.values for batch in scorer.batches]
    scorer.batches.clear()
    assert np.concatenate(kept)[:, 0].tolist() == list(range(100))


FORMS: list[tuple[Any, list[dict[str, Any] | None]]] = [
    (lambda v: v, [{"prediction": 1.0}, {"prediction": 2.0}, {"prediction": 3.0}]),
    (
        lambda v: [None if x == 1 else f"x{x:.0f}" for x in v],
        [None, {"prediction": "x2"}, {"prediction": "x3"}],
    ),
    (lambda v: {"a": v, "b": [[x] for x in v]}, [{"a": x, "b": [x]} for x in (1.0, 2.0, 3.0)]),
    (lambda v: [None if x == 2 else {"a": x} for x in v], [{"a": 1.0}, None, {"a": 3.0}]),
    (lambda v: pd.DataFrame({"a": v}), [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}]),
]


@pytest.mark.parametrize(("form", "rows"), FORMS)
def test_results_have_the_forms_that_those_of_windows_have(form: Any, rows: list[Any]) -> None:
    app = App("app")
    app.batch(READINGS, sink="scores", name="m")(lambda batch: form(batch["v"]))
    out = app.test({"readings": readings(1, 2, 3)})["scores"]
    found = [{k: v for k, v in r.value.items() if k not in ("key", "timestamp", "offset")} for r in out]
    assert found == [row for row in rows if row is not None]
    assert counted(app)["scored"] == counted(app)["consumed"] == 3


def test_outputs_name_the_columns_and_may_be_called_window() -> None:
    app = App("app")
    register = app.batch(READINGS, sink="scores", outputs=["window", "b"], name="m")
    register(lambda batch: np.stack([batch["v"], -batch["v"]], axis=1))
    assert app.test({"readings": readings(7)})["scores"][0].value == {
        "key": "a",
        "timestamp": 7,
        "offset": 0,
        "window": 7.0,
        "b": -7.0,
    }


def test_a_batch_forms_when_max_events_are_there() -> None:
    app, scorer = scoring_app(max_events=4, max_wait="1h", epoch="1h")
    # The same time for all: the virtual clock stands still.
    app.test({"readings": readings(*[0] * 10)})
    # The first epoch ends at once, with the first event in it; the end of the topic takes what is left.
    assert scorer.sizes[0] <= 4
    assert max(scorer.sizes) == 4
    assert sum(scorer.sizes) == 10
    assert scorer.sizes.count(4) == 2


def test_a_batch_forms_when_the_first_event_has_waited_for_max_wait() -> None:
    app, scorer = scoring_app(max_wait="20s", epoch="1h")
    waits: list[Record | Advance] = [
        *readings(0),
        Advance("10s"),
        *readings(1),
        Advance("9s"),
        *readings(2),
        Advance("1s"),
        *readings(3),
    ]
    app.test({"readings": [*readings(0), Advance("2h"), *waits]})
    sizes = scorer.sizes
    assert sizes[-2:] == [3, 1]


def test_the_end_of_an_epoch_waits_for_no_more_events() -> None:
    app, scorer = scoring_app(max_wait="1h", epoch="1s")
    app.test({"readings": [*readings(*range(0, 5_000, 100))]})
    assert len(scorer.sizes) >= 5
    assert max(scorer.sizes) <= 12


def test_poison_events_are_dead_letters_and_their_siblings_are_scored() -> None:
    app, scorer = scoring_app(3.0, 11.0, max_events=16, epoch="1h", version="7")
    records = [Record({"ts": 5, "v": float(i)}, key=f"k{i}") for i in range(16)]
    out = app.test({"readings": records})

    assert [record.value["offset"] for record in out["scores"]] == [i for i in range(16) if i not in (3, 11)]
    dead = out["app.dead-letter"]
    assert [(record.key, record.value["offset"]) for record in dead] == [(b"k3", 3), (b"k11", 11)]
    first = dead[0]
    assert {k: v for k, v in first.value.items() if k not in ("id", "traceback")} == {
        "model": "m",
        "version": "7",
        "sink": "scores",
        "key": "k3",
        "timestamp": 5,
        "offset": 3,
        "topic": "readings",
        "partition": 0,
        "fields": ["v"],
        "values": [[3.0]],
        "context": {},
        "reason": "model_error",
        "error": "ValueError: no 3",
    }
    assert "no 3" in first.value["traceback"]
    said = headers(first)
    assert (said["id"], said["offset"], said["reason"]) == (first.value["id"], "3", "model_error")
    assert first.timestamp == 5
    assert len(scorer.sizes) <= 2 * (1 + 2 * 4)


@pytest.mark.parametrize("on_error", ["dead_letter", "skip"])
def test_what_was_consumed_is_scored_or_dead_or_dropped(on_error: str) -> None:
    app, _ = scoring_app(2.0, 5.0, on_error=on_error)
    broken = [Record(b"{", key="a"), Record({"ts": 1}, key="a"), Record({"ts": 1, "v": 0}, key=None)]
    out = app.test({"readings": [*MIXED, *broken]})
    now = counted(app)
    dead = sum(now["dead_letters"].values())
    assert now["consumed"] == len(MIXED) + 3
    assert now["consumed"] == now["scored"] + now["undecodable"] + dead + now["windows_dropped"]
    assert (now["undecodable"], now["scored"]) == (3, len(MIXED) - 2)
    assert (dead, now["windows_dropped"]) == ((2, 0) if on_error == "dead_letter" else (0, 2))
    assert now["events"] == now["windows_closed"] == len(MIXED)
    assert len(out["app.dead-letter"]) == 3 + dead
    assert len(out["scores"]) == now["scored"]


def test_a_model_that_fails_on_everything_stops_the_run_and_says_events() -> None:
    app, _ = scoring_app(*map(float, range(100)), max_events=16, epoch="1h")
    with pytest.raises(ModelError, match=r"failed on every event of 3 batches in a row, \d+ events in all"):
        app.test({"readings": [Record({"ts": 0, "v": float(i)}, key="a") for i in range(100)]})


def test_a_wrong_number_of_rows_names_both_numbers() -> None:
    app = App("app", epoch="1h")
    app.batch(READINGS, sink="scores", max_events=4, name="m", on_error="fail")(lambda batch: [1])
    # One of them is right: the first event moves the clock of the test to its time, and so goes alone.
    with pytest.raises(ModelError, match="returned 1 rows for 4 events: return exactly one row per event"):
        app.test({"readings": readings(*[1] * 12)})


@pytest.mark.parametrize("field", ["key", "timestamp", "offset"])
def test_a_field_that_the_result_has_already_is_refused(field: str) -> None:
    app = App("app")
    app.batch(READINGS, sink="scores", name="m", on_error="fail")(lambda batch: {field: batch["v"]})
    with pytest.raises(ModelError, match=f"a field named {field!r}".replace("'", '"')):
        app.test({"readings": readings(1)})
    with pytest.raises(ConfigError, match=f"@app.batch outputs=.*names '{field}'"):
        app.batch(READINGS, sink="scores", name="n", outputs=[field])(lambda batch: batch["v"])


def test_windows_of_the_same_topic_are_what_they_are_without_it() -> None:
    alone, _ = recording_app()
    beside, recorder = recording_app()
    beside.batch(READINGS, sink="scores", name="scorer")(Scorer())
    wanted, found = alone.test({"readings": MIXED}), beside.test({"readings": MIXED})
    assert found["results"] == wanted["results"]
    assert len(found["scores"]) == len(MIXED)
    assert all(isinstance(batch, WindowBatch) for batch in recorder.batches)
    names = ("events", "late_events", "late_pairs", "windows_closed", "windows_produced")
    mine, theirs = beside.metrics()["models"]["m"], alone.metrics()["models"]["m"]
    assert [mine[name] for name in names] == [theirs[name] for name in names]
    assert "scored" not in mine


def test_models_of_events_with_fields_of_their_own_share_a_topic() -> None:
    app, one, other = App("app"), Scorer(), []
    app.batch(Topic("readings", timestamp="ts", fields=["v"]), sink="scores", name="one")(one)

    @app.batch(
        Topic("readings", timestamp="ts", fields=["w", "v"], context=["site"]), sink="scores", name="other"
    )
    def other_model(batch: EventBatch) -> Any:
        other.extend(batch.context["site"].tolist())
        return batch.values.tolist()

    fed = [Record({"ts": i, "v": i, "w": -i, "site": i}, key="a") for i in range(5)]
    out = app.test({"readings": fed})["scores"]
    assert [r.value["offset"] for r in out] == [i for i in range(5) for _ in range(2)]
    assert [r.value["prediction"] for r in out if headers(r)["model"] == "other"] == [
        [-i, i] for i in range(5)
    ]
    assert [r.value["score"] for r in out if headers(r)["model"] == "one"] == [2 * i for i in range(5)]
    assert other == list(range(5))


def test_a_windowed_model_reads_the_scores() -> None:
    app, _ = scoring_app()
    scores, recorder = Topic("scores", timestamp="timestamp", fields=["score"]), Recorder()
    app.model(scores, window=TumblingWindow("10s", grace="1s"), sink="sums", name="sums")(recorder)
    out = app.test({"readings": readings(*range(0, 50_000, 500))})
    assert [record.value["n_events"] for record in out["sums"]] == [20] * 5
    assert recorder.contents["a", 10_000, 20_000] == [2.0 * ts for ts in range(10_000, 20_000, 500)]
    assert app.metrics()["models"]["sums"]["late_pairs"] == 0


def test_scores_may_be_made_of_windows_and_of_scores() -> None:
    app, _ = recording_app()
    results = Topic("results", timestamp=None, fields=["prediction"])
    app.batch(results, sink="first", name="first")(lambda batch: {"double": 2 * batch["prediction"]})
    app.batch(Topic("first", timestamp="timestamp", fields=["double"]), sink="second", name="second")(
        lambda batch: batch["double"] + 1
    )
    out = app.test({"readings": readings(*range(0, 30_000, 1_000))})
    assert [record.value["prediction"] for record in out["second"]] == [21.0, 21.0, 21.0]
    assert [record.value["timestamp"] for record in out["second"]] == [9_999, 19_999, 29_999]


def test_a_class_is_loaded_warmed_up_and_closed() -> None:
    said: list[Any] = []

    class Model:
        def load(self) -> None:
            said.append("load")

        def warmup(self, batch: EventBatch) -> None:
            said.append((len(batch), batch.names, batch.context["site"][0], batch.values.shape))

        def predict(self, batch: EventBatch) -> Any:
            return batch["v"]

        def close(self) -> None:
            said.append("close")

    app = App("app")
    source = Topic("readings", timestamp="ts", fields=["v"], context=["site"])
    app.batch(source, sink="scores", max_events=50)(Model)
    app.test({"readings": []})
    assert said == ["load", (50, ("v",), "warmup", (50, 1)), "close"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_events": 0}, "@app.batch max_events=0: is out of range"),
    ({"max_wait": 5}, "@app.batch max_wait=5"),
    ({"max_wait": "-1s"}, "@app.batch max_wait='-1s'"),
    ({"sink": ""}, "model 'm' sink="),
    ({"source": "readings"}, "model 'm' source='readings': is not a Topic"),
    ({"name": "a b"}, "@app.batch name='a b'"),
    ({"per_worker": True}, "per_worker=True: needs a class"),
    ({"workers": 0}, "model 'm' workers=0"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_a_wrong_argument_is_refused_with_its_name(wrong: dict[str, Any], said: str) -> None:
    options: dict[str, Any] = {"source": READINGS, "sink": "scores", "name": "m", **wrong}
    with pytest.raises(ConfigError, match=re.escape(said)):
        App("app").batch(**options)(Scorer())


def test_a_model_is_checked_under_the_name_of_its_decorator() -> None:
    app, _ = scoring_app()
    with pytest.raises(ConfigError, match=r"@app\.batch on=.*cannot be called as predict"):
        app.batch(READINGS, sink="scores", name="n")(lambda: None)
    with pytest.raises(ConfigError, match=r"@app\.batch name='m': is taken"):
        app.batch(READINGS, sink="scores", name="m")(Scorer())


def test_windows_and_events_cannot_share_a_sink() -> None:
    app, _ = recording_app(TumblingWindow("1ms", grace="0ms"))
    app.batch(READINGS, sink="results", name="scorer")(Scorer())
    with pytest.raises(ConfigError, match="only one of them is of single events"):
        app.test({})
