"""Context: what events say of where they are from; of a window the last value by time and offset."""

from typing import Any

import numpy as np
import pytest

from harness import TUMBLING, Recorder, recording_app
from millstream import App, Record, Topic, WindowBatch
from millstream._core import WindowBatch as CoreBatch


def topic(*context: str, **options: Any) -> Topic:
    return Topic("readings", timestamp="ts", fields=["v"], context=context, **options)


def event(ts: int, key: str = "a", **said: Any) -> Record:
    return Record({"ts": ts, "v": 0, **said}, key=key)


def seen(source: Topic, *records: Record, **options: Any) -> WindowBatch:
    app, recorder = recording_app(TUMBLING, source, **options)
    app.test({"readings": records})
    (batch,) = recorder.batches
    return batch


def test_each_window_has_the_last_value_of_its_key_by_time_and_offset() -> None:
    batch = seen(
        topic("site"),
        event(1_000, "a", site="early"),
        event(5_000, "a", site="tie, first"),
        event(5_000, "a", site="tie, second"),
        event(2_000, "a", site="came last"),
        event(0, "b", site="other"),
    )
    said = dict(zip(batch.keys.tolist(), batch.context["site"].tolist(), strict=True))
    assert said == {"a": "tie, second", "b": "other"}


def test_the_context_of_a_window_does_not_know_the_next_window() -> None:
    app, recorder = recording_app(TUMBLING, topic("site"))
    app.test({"readings": [event(0, site="old"), event(9_999, site="older"), event(10_000, site="new")]})
    said = [(window.start, window.context["site"]) for window in recorder.windows]
    assert said == [(0, "older"), (10_000, "new")]


@pytest.mark.parametrize("value", ["plant 7", "", "ä", 7, -1, 2**64 - 1, 0.5, -0.0, True, False])
def test_strings_and_numbers_come_as_they_are(value: Any) -> None:
    batch = seen(topic("site"), event(0, site=value))
    (got,) = batch.context["site"]
    assert (type(got), repr(got)) == (type(value), repr(value))
    assert batch[0].context == {"site": value}


def test_several_fields_are_columns_of_objects_in_their_order() -> None:
    batch = seen(topic("unit.site", "unit.floor"), event(0, unit={"floor": 3, "site": "x"}))
    assert list(batch.context) == ["unit.site", "unit.floor"]
    for array in batch.context.values():
        assert (array.dtype, array.shape) == (np.dtype(object), (1,))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = None
    with pytest.raises(TypeError):
        batch.context["unit.site"] = array  # type: ignore[index]


def test_where_context_may_be_missing_the_last_value_that_is_there_counts() -> None:
    batch = seen(
        topic("site", "unit", "never", missing="nan"),
        event(0, site="s1", unit="u1"),
        event(1, site="s2", unit=None),
        event(2),
    )
    assert batch[0].context == {"site": "s2", "unit": "u1", "never": None}


@pytest.mark.parametrize(
    ("said", "reason"),
    [({}, b"missing_field"), ({"site": None}, b"missing_field"), ({"site": [1]}, b"bad_type")],
)
def test_a_record_without_its_context_is_a_dead_letter(said: dict[str, Any], reason: bytes) -> None:
    app, recorder = recording_app(TUMBLING, topic("site"))
    out = app.test({"readings": [event(0, **said)]})
    assert not recorder.batches
    (dead,) = out["app.dead-letter"]
    assert dict(dead.headers)["reason"] == reason


def test_models_of_a_topic_each_see_the_context_that_they_declare() -> None:
    app = App("app")
    models = {("site", "unit"): Recorder(), ("unit",): Recorder(), (): Recorder()}
    for context, recorder in models.items():
        name = "-".join(("m", *context))
        app.model(source=topic(*context), window=TUMBLING, sink=name, name=name)(recorder)
    app.test({"readings": [event(0, site="s", unit="u")]})
    for context, recorder in models.items():
        (window,) = recorder.windows
        assert window.context == {name: name[0] for name in context}


def test_a_field_may_be_feature_and_context() -> None:
    batch = seen(topic("v"), event(0), event(1, v=3))
    assert (batch["v"].tolist(), batch.context["v"].tolist()) == ([0.0, 3.0], [3])


@pytest.mark.parametrize("late", [True, False])
def test_an_event_too_late_for_a_window_does_not_change_its_context(late: bool) -> None:
    app, recorder = recording_app(TUMBLING, topic("site"), max_batch=1)
    records = [event(0, site="in time"), event(10_000, site="next")]
    app.test({"readings": [*records, event(5_000, site="too late")] if late else records})
    assert [window.context["site"] for window in recorder.windows] == ["in time", "next"]


def test_a_synthetic_batch_has_context() -> None:
    batch = CoreBatch.synthetic(["v"], 2, 3, True, context=["site"])
    assert batch.context["site"].tolist() == ["warmup", "warmup"]
    assert dict(CoreBatch.synthetic(["v"], 2, 3, True).context) == {}
