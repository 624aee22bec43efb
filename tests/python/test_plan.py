"""The plan: what an app's declarations become for the engine, to the letter."""

from typing import Any

import pytest

from harness import TUMBLING
from millstream import App, HoppingWindow, Topic


def predict(batch: Any) -> Any:
    return batch.lengths


def test_an_app_becomes_exactly_this() -> None:
    app = App("activity", kafka={"security.protocol": "SSL"})
    app.model(
        source=Topic("watch.readings", timestamp="ts", fields=["ax", "ay"]),
        window=HoppingWindow("10s", hop="2s", grace="5s"),
        sink="watch.activity",
        name="Activity",
    )(predict)
    assert app._plan() == {
        "name": "activity",
        "brokers": "localhost:9092",
        "guarantee": "exactly_once",
        "group_id": "activity",
        "kafka": {"security.protocol": "SSL"},
        "lanes": 1,
        "epoch_ms": 100,
        "start": "earliest",
        "create_topics": True,
        "dead_letter_topic": "activity.dead-letter",
        "late_topic": "activity.late",
        "drain_timeout_ms": 20_000,
        "max_inflight_bytes": 268_435_456,
        "max_state_bytes": None,
        "max_keys": None,
        "max_events_per_key": None,
        "sources": [
            {
                "topic": "watch.readings",
                "key": None,
                "timestamp": "ts",
                "timestamp_unit": None,
                "fields": ["ax", "ay"],
                "context": [],
                "missing": "dead_letter",
                "format": "json",
                "idle_timeout_ms": 30_000,
                "max_future_ms": 3_600_000,
                "scattered": False,
            }
        ],
        "models": [
            {
                "name": "Activity",
                "version": None,
                "source": 0,
                "size_ms": 10_000,
                "hop_ms": 2_000,
                "offset_ms": 0,
                "grace_ms": 5_000,
                "min_events": 1,
                "sink": "watch.activity",
                "max_batch": 256,
                "max_batch_events": None,
                "length_buckets": None,
                "target_ms": None,
                "workers": 1,
                "pool": "threads",
                "late": "drop",
                "on_error": "dead_letter",
                "retries": 0,
                "timeout_ms": None,
                "fields": ["ax", "ay"],
                "context": [],
                "dtype": "float64",
                "timestamps": True,
                "pad_batch_to": None,
                "outputs": None,
            }
        ],
    }


def test_declarations_of_a_topic_may_differ_in_fields_context_and_dtype() -> None:
    app = App("app")
    one = Topic("readings", fields=["a"], context=["site", "unit"], dtype="float32")
    two = Topic("readings", fields=["a"], context=["unit"])
    for name, topic in (("one", one), ("two", two)):
        app.model(source=topic, window=TUMBLING, sink=name, name=name)(predict)
    plan = app._plan()
    assert [source["context"] for source in plan["sources"]] == [["site", "unit"]]
    assert [(model["context"], model["dtype"]) for model in plan["models"]] == [
        (["site", "unit"], "float32"),
        (["unit"], "float64"),
    ]


def test_a_topic_declared_twice_is_one_source_with_all_fields() -> None:
    app = App("app")
    for number, fields in enumerate((["a", "b"], ["c", "a"])):
        topic = Topic("readings", fields=fields)
        app.model(source=topic, window=TUMBLING, sink=f"results.{number}", name=f"m{number}")(predict)
    plan = app._plan()
    assert [source["fields"] for source in plan["sources"]] == [["a", "b", "c"]]
    assert [(model["source"], model["fields"]) for model in plan["models"]] == [
        (0, ["a", "b"]),
        (0, ["c", "a"]),
    ]


@pytest.mark.parametrize(
    ("idle_timeout", "at_the_head", "chained"),
    [("auto", 30_000, None), ("45s", 45_000, 45_000), (None, None, None)],
)
def test_the_idle_rule_is_off_by_default_where_the_app_writes_the_topic(
    idle_timeout: Any, at_the_head: int | None, chained: int | None
) -> None:
    app = App("app")
    for source, sink in (("readings", "sums"), ("sums", "trends")):
        topic = Topic(source, idle_timeout=idle_timeout)
        app.model(source=topic, window=TUMBLING, sink=sink, name=sink)(predict)
    assert [source["idle_timeout_ms"] for source in app._plan()["sources"]] == [at_the_head, chained]


def test_the_future_guard_off_is_null() -> None:
    app = App("app")
    app.model(source=Topic("readings", max_future=None), window=TUMBLING, sink="results")(predict)
    assert app._plan()["sources"][0]["max_future_ms"] is None
