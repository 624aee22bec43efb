"""Models that read what other models of the same app write."""

from typing import Any

import pytest

from harness import READINGS, TUMBLING, Recorder, headers, reading, readings
from millstream import App, ConfigError, Topic, TumblingWindow, WindowBatch

SUMS = Topic("sums", fields=["prediction"])


def sums(batch: WindowBatch) -> list[float]:
    return [float(window["v"].sum()) for window in batch]


def chained_app() -> tuple[App, Recorder]:
    """Return an app that sums 10 s of readings and shows a recorder 30 s of sums."""
    app, recorder = App("app"), Recorder()
    window = TumblingWindow("30s", grace="0s")
    # Declared against the flow: the order of declarations means nothing.
    app.model(source=SUMS, window=window, sink="trends", name="trend")(recorder)
    app.model(source=READINGS, window=TUMBLING, sink="sums")(sums)
    return app, recorder


def test_a_model_sees_what_the_one_before_it_wrote() -> None:
    app, seen = chained_app()
    fed = [reading(ts, 1.0, key) for ts in range(0, 60_000, 1_000) for key in "ab"]
    out = app.test({"readings": fed})
    assert seen.contents == {
        (key, start, start + 30_000): [10.0] * 3 for key in "ab" for start in (0, 30_000)
    }
    assert seen.windows[0].timestamps.tolist() == [9_999, 19_999, 29_999]
    assert (len(out["sums"]), len(out["trends"])) == (12, 4)


def test_drain_goes_downstream() -> None:
    app, seen = chained_app()
    app.test({"readings": readings(0)}, drain=False)
    assert seen.windows == []
    app.test({"readings": readings(0)}, drain=True)
    assert list(seen.contents) == [("a", 0, 30_000)]


def test_results_keep_their_partition() -> None:
    app, seen = chained_app()
    out = app.test({"readings": [reading(0, 1.0, "a", 0), reading(0, 2.0, "a", 3)]})
    assert [(record.partition, record.value["prediction"]) for record in out["sums"]] == [(0, 1.0), (3, 2.0)]
    assert sorted((w.partition, w["prediction"].tolist()) for w in seen.windows) == [(0, [1.0]), (3, [2.0])]


def test_a_result_that_the_next_model_cannot_use_is_a_dead_letter() -> None:
    app, seen = App("app"), Recorder()
    app.model(source=READINGS, window=TUMBLING, sink="sums", name="text")(lambda batch: ["x"] * len(batch))
    app.model(source=SUMS, window=TUMBLING, sink="trends", name="trend")(seen)
    (dead,) = app.test({"readings": readings(0)})["app.dead-letter"]
    assert (headers(dead)["reason"], headers(dead)["topic"]) == ("bad_type", "sums")


def test_models_may_share_a_sink_and_are_sorted_together() -> None:
    app = App("app")
    for name in ("b", "a"):
        app.model(source=READINGS, window=TUMBLING, sink="results", name=name)(sums)
    fed = [reading(ts, 1.0, key) for ts in (0, 10_000) for key in "xy"]
    got = [
        (record.value["window"]["end"], record.value["key"], headers(record)["model"])
        for record in app.test({"readings": fed})["results"]
    ]
    assert got == [(end, key, name) for end in (10_000, 20_000) for key in "xy" for name in "ab"]


@pytest.mark.parametrize(
    ("source", "window"),
    [
        (READINGS, TumblingWindow("10s", grace="1s")),
        (Topic("others", timestamp="ts", fields=["v"]), TUMBLING),
    ],
)
def test_a_shared_sink_needs_one_source_and_equal_grace(source: Topic, window: Any) -> None:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="results", name="one")(sums)
    app.model(source=source, window=window, sink="results", name="two")(sums)
    with pytest.raises(ConfigError, match="results"):
        app.test({"readings": readings(0)})


def test_a_model_cannot_feed_itself() -> None:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="readings")(sums)
    with pytest.raises(ConfigError, match="readings"):
        app.test({"readings": readings(0)})
