"""The examples run as their README says, and their results are right."""

import ast
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from millstream import Record

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

BEGIN = 1_764_000_000_000
SECONDS = 90
STEPS_PER_MINUTE = {"walker": 120.0, "runner": 180.0}


def readings() -> list[dict[str, Any]]:
    """Return what watches of wearers with a known cadence send, ten times a second, all in time order."""
    return [
        {"watch": watch, "ts": BEGIN + tick * 100, "ax": 10 + math.sin(swing * tick / 10), "ay": 0.0, "az": 0}
        for tick in range(SECONDS * 10)
        for watch, steps in STEPS_PER_MINUTE.items()
        for swing in [2 * math.pi * steps / 60]
    ]


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_cadence(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert result["steps_per_minute"] == pytest.approx(STEPS_PER_MINUTE[result["key"]], abs=3)


def check_effort(results: list[dict[str, Any]]) -> None:
    check_cadence(results)
    for result in results:
        assert result["running"] is (result["key"] == "runner")
        assert result["rise"] == pytest.approx(0, abs=6)


def test_the_readme_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if path.name not in text] == []


def test_quickstart_prints_the_mean_of_each_window() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "quickstart.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "{'start': -1000, 'end': 1000} 0.0",
        "{'start': 0, 'end': 2000} 0.5",
        "{'start': 1000, 'end': 3000} 1.5",
        "{'start': 2000, 'end': 4000} 2.5",
        "{'start': 3000, 'end': 5000} 3.5",
        "{'start': 4000, 'end': 6000} 4.0",
    ]


def test_cadence_finds_the_rhythm_and_sums_it_up() -> None:
    app = load_example("cadence").app
    out = app.test({"watch.readings": [Record(reading) for reading in readings()]})

    cadence = [record.value for record in out["watch.cadence"]]
    # Windows start every second, from the first with half of its readings, [-5 s, 5 s), to the last.
    starts = range(BEGIN - 5_000, BEGIN + (SECONDS - 5) * 1000 + 1, 1000)
    for watch in STEPS_PER_MINUTE:
        assert [result["window"]["start"] for result in cadence if result["key"] == watch] == list(starts)
    check_cadence(cadence)

    effort = [record.value for record in out["watch.effort"]]
    # A result's time is the last millisecond of its window: minutes every ten seconds around those times.
    first, last = starts[0] + 9_999, starts[-1] + 9_999
    minutes = [start for start in range(BEGIN - 60_000, last + 1, 10_000) if start + 60_000 > first]
    for watch in STEPS_PER_MINUTE:
        assert [result["window"]["start"] for result in effort if result["key"] == watch] == minutes
    assert sum(result["n_events"] for result in effort) == 6 * len(cadence)
    check_effort(effort)

    assert out["cadence.dead-letter"] == []


def run_example(name: str, cwd: Path) -> list[str]:
    """Run an example as a person would, any warning an error; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["activity", "activity_lightgbm"])
def test_a_classifier_knows_most_of_the_activities(name: str, tmp_path: Path) -> None:
    right, _, total = run_example(name, tmp_path)[0].split()[:3]
    assert int(total) == 120
    assert int(right) >= 108


def test_an_exported_classifier_says_what_the_classifier_says(tmp_path: Path) -> None:
    score, *exported = run_example("activity_onnx", tmp_path)
    same, *fitted = run_example("activity", tmp_path)
    assert score == same
    for text, other in zip(exported, fitted, strict=True):
        result, of_forest = ast.literal_eval(text), ast.literal_eval(other)
        assert result["label"] == of_forest["label"]
        assert max(result["probabilities"]) == pytest.approx(of_forest["score"], abs=1e-5)


def test_the_detector_finds_the_blow_and_nothing_else(tmp_path: Path) -> None:
    (alarm,) = map(ast.literal_eval, run_example("anomaly", tmp_path))
    assert (alarm["key"], alarm["window"]["start"]) == ("saw", 31_000)
    assert alarm["z"] > 6


def test_a_long_frame_sums_up_what_was_sold(tmp_path: Path) -> None:
    example = load_example("long_frame")
    results = [record.value for record in example.app.test({"shop.sales": example.stream()})["shop.hours"]]
    assert [ast.literal_eval(line) for line in run_example("long_frame", tmp_path)] == results
    sold: dict[tuple[str, int], list[float]] = {}
    for record in example.stream():
        sale = record.value
        sold.setdefault((sale["shop"], sale["ts"] // 3_600_000), []).append(sale["price"] * sale["pieces"])
    assert {(hour["key"], hour["window"]["start"] // 3_600_000): hour["revenue"] for hour in results} == {
        key: pytest.approx(sum(revenue)) for key, revenue in sold.items()
    }
    assert all(hour["sales"] == hour["n_events"] for hour in results)


EMBEDDED = """
import json, os, runpy, signal, sys, threading, time
from millstream import _core

form, wanted = sys.argv[1], {"watch.cadence": int(sys.argv[2]), "watch.effort": int(sys.argv[3])}
broker = _core.EmbeddedBroker.get()
for topic in ("watch.readings", *wanted):
    broker.create_topic(topic, 4)
producer = _core.Producer(broker.brokers)
for line in sys.stdin:
    producer.send("watch.readings", line.encode(), key=json.loads(line)["watch"].encode())
producer.flush()
producer.close()

results = {}

def read():
    for topic, count in wanted.items():
        consumer, found, give_up = _core.Consumer(broker.brokers, topic), [], time.monotonic() + 60
        while len(found) < count and time.monotonic() < give_up:
            found += [json.loads(record[3]) for record in consumer.poll(0.1)]
        consumer.close()
        results[topic] = found

def read_then_interrupt():
    read()
    os.kill(os.getpid(), signal.SIGINT)

if form == "millstream run":
    from millstream.cli import main
    main(["run", "examples.cadence:app", "--until", "end", "--drain"], standalone_mode=False)
    read()
else:
    reader = threading.Thread(target=read_then_interrupt)
    reader.start()
    runpy.run_path("examples/cadence.py", run_name="__main__")
    reader.join()
print(json.dumps(results))
"""


# Two wearers. To the end and drained: what app.test gives above. Until Ctrl-C: the windows that the clock has
# closed, at 89.9 s less 2 s of grace those that end by 87 s, and the minutes that end by the last of these.
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("form", "cadence", "effort"),
    [("millstream run", 2 * 91, 2 * 15), ("python", 2 * 83, 2 * 8)],
)
def test_cadence_runs_against_a_broker(form: str, cadence: int, effort: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED, form, str(cadence), str(effort)],
        cwd=ROOT,
        env={**os.environ, "MILLSTREAM_BROKERS": "embedded"},
        input="".join(f"{json.dumps(reading)}\n" for reading in readings()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results["watch.cadence"]) == cadence
    assert len(results["watch.effort"]) == effort
    check_cadence(results["watch.cadence"])
    check_effort(results["watch.effort"])
