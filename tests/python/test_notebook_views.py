"""What a notebook shows of apps, windows and batches: true, escaped, without a script; and `plot()`."""

import re
import sys
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from harness import READINGS, Recorder, recording_app
from millstream import App, HoppingWindow, Record, Topic, TumblingWindow, WindowBatch, _svg

HOSTILE = "<script>alert('x')</script>\"&"


def seen(*, key: str = "a", timestamps: bool = True, fields: int = 2, windows: int = 1) -> WindowBatch:
    names = [f"f{number}" for number in range(fields)]
    source = Topic(
        "readings", timestamp="ts", fields=names, context=["site"], missing="nan", timestamp_unit="ms"
    )
    app, recorder = App("app"), Recorder()
    app.model(
        source=source,
        window=TumblingWindow("10s", grace="0s"),
        sink="out",
        name="m",
        timestamps=timestamps,
        max_batch=64,
    )(recorder)
    events = [
        {"ts": ts, "site": HOSTILE, **{name: ts / 1_000 + place for place, name in enumerate(names)}}
        for ts in range(0, 10_000, 1_000)
    ]
    for event in events[3:5]:
        event.pop("f0", None)
    keys = [key] if windows == 1 else [f"{key}{number}" for number in range(windows)]
    app.test({"readings": [Record(event, key=each) for event in events for each in keys]})
    return recorder.batches[0]


def parsed(html: str) -> ElementTree.Element:
    """Return what a browser is given, which must be well-formed for this."""
    return ElementTree.fromstring(html.replace("<br/>", "<br></br>").replace("&#9644;", "-"))


def elements(html: str, name: str) -> list[ElementTree.Element]:
    return [element for element in parsed(html).iter() if element.tag.rpartition("}")[2] == name]


def shapes(html: str) -> list[ElementTree.Element]:
    return elements(html, "polyline") + elements(html, "circle")


def test_a_window_shows_a_line_per_field_from_its_start_to_its_end() -> None:
    html = seen()[0]._repr_html_()
    (svg,) = elements(html, "svg")
    assert svg.attrib["role"] == "img"
    assert "f0, f1 of a over time" in svg.attrib["aria-label"]
    # Of f0 two values are missing: its line has a gap.
    assert len(elements(html, "polyline")) == 3
    last = [tuple(map(float, point.split(","))) for point in shapes(html)[-1].attrib["points"].split()]
    xs = [x for x, _ in last]
    assert xs == sorted(xs)
    assert xs[0] == pytest.approx(4.0)
    assert xs[-1] == pytest.approx(4 + 412 * 0.9, abs=0.1), "the last event is a second before the end"
    ys = [y for _, y in last]
    assert ys == sorted(ys, reverse=True), "what rises goes up"


def test_a_batch_shows_its_first_windows_and_says_how_many_more_there_are() -> None:
    batch = seen(windows=12)
    html = batch._repr_html_()
    assert f"WindowBatch of {len(batch)} windows, {len(batch.values)} events" in html
    assert len(elements(html, "svg")) == 8
    assert f"and {len(batch) - 8} more" in html
    assert "1970-01-01 00:00:00.000" in html


def test_without_timestamps_events_are_drawn_in_their_order() -> None:
    assert len(shapes(seen(timestamps=False)[0]._repr_html_())) == 3


def test_many_fields_are_cut_off_and_none_are_no_chart_at_all() -> None:
    assert "and 3 more" in seen(fields=9)[0]._repr_html_()
    assert shapes(seen(fields=0)[0]._repr_html_()) == []


def test_many_events_are_drawn_as_few_points() -> None:
    values = np.arange(100_000.0)
    svg = _svg.lines(values.tolist(), [values.tolist()], (0.0, 1e5), label="x")
    assert len(elements(svg, "polyline")[0].attrib["points"].split()) <= 400


def test_all_that_users_wrote_is_escaped_and_there_is_no_script() -> None:
    batch = seen(key=HOSTILE)
    app = App("app", group_id=HOSTILE, kafka={"client.id": HOSTILE})
    app.model(source=READINGS, window=TumblingWindow("1s", grace="0s"), sink="out", name="m")(Recorder())
    for html in (batch._repr_html_(), batch[0]._repr_html_(), app._repr_html_()):
        assert "&lt;script&gt;" in html
        assert elements(html, "script") == []
        assert not re.search(r"\son\w+=|https?://(?!www\.w3\.org/2000/svg)|<style|<link", html)
        assert HOSTILE in "".join(parsed(html).itertext())


def test_an_app_shows_its_models_whether_it_runs_and_no_secret() -> None:
    app, _ = recording_app()
    app._settings.kafka["sasl.password"] = "hunter2"  # type: ignore[index]
    html = app._repr_html_()
    text = " ".join(parsed(html).itertext())
    for said in (
        "App app",
        "stopped",
        "exactly_once",
        "readings",
        "10s every 10s, grace 0ms",
        "results",
        "***",
    ):
        assert said in text
    assert "hunter2" not in html
    app.batch(READINGS, sink="scores", name="fraud")(lambda batch: batch["v"])
    assert "fraud readings every event scores" in " ".join(parsed(app._repr_html_()).itertext())
    assert "no model yet" in App("empty")._repr_html_()


def test_a_definition_shows_windows_that_overlap_as_much_as_they_do() -> None:
    html = HoppingWindow("3s", hop="1s", grace="2s")._repr_html_()
    assert "HoppingWindow: 3s every 1s, grace 2s" in html
    bars = [element.attrib for element in elements(html, "rect")]
    first, grace, second = bars[0], bars[1], bars[2]
    assert float(first["width"]) == pytest.approx(3 * float(second["x"]), abs=0.2)
    assert float(grace["x"]) == float(first["width"])
    assert float(grace["width"]) == pytest.approx(2 * float(second["x"]), abs=0.2)
    assert "TumblingWindow" in TumblingWindow("1s", grace="0s")._repr_html_()


@pytest.fixture
def pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_plot_draws_each_field_of_a_window(pyplot: Any) -> None:
    window = seen()[0]
    axes = window.plot()
    assert [line.get_label() for line in axes.get_lines()] == ["f0", "f1"]
    for line, name in zip(axes.get_lines(), window.names, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), window[name])
        np.testing.assert_array_equal(line.get_xdata(), window.timestamps.astype("datetime64[ms]"))
    assert window.plot(ax=axes) is axes
    axes.figure.canvas.draw()


def test_plot_draws_the_first_windows_of_a_batch(pyplot: Any) -> None:
    batch = seen(windows=12, key="$a_{b$")
    figure = batch.plot(windows=3)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"$a_{{b${n}, 10 events" for n in range(3)
    ]
    figure.canvas.draw()
    assert len(batch.plot(windows=100).axes) == len(batch)
    with pytest.raises(ValueError, match="plot\\(\\) of 0 windows"):
        batch.plot(windows=0)


def test_plot_without_timestamps_counts_events(pyplot: Any) -> None:
    assert seen(timestamps=False)[0].plot().get_xlabel() == "event"


def test_without_matplotlib_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ModuleNotFoundError, match=r"plot\(\) needs matplotlib.*millstream\[plot\]"):
        seen()[0].plot()
