"""`millstream demo` shows real predictions beside the truth, counts everything, and ends when it should."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from millstream._demo import data, model
from millstream._demo.replay import SESSION, STEP_MS, Truth, Watches
from millstream._demo.score import Score
from millstream._demo.screen import LiveScreen, PlainScreen, Progress
from millstream.cli import main
from served import request

ACTIVITIES = ["badminton", "running", "standing", "walking"]
BEGIN = 1_700_000_000_000
PREDICTION = re.compile(
    r"watch-\d\d \S+ predicted (?P<activity>\w+) \(\d\.\d\d\), truth (?P<truth>[\w >]+): (?P<verdict>[\w ]+)"
)


@pytest.fixture(scope="module")
def recordings() -> data.Recordings:
    return data.load("test")


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_split_holds_five_recordings_of_each_activity(split: str) -> None:
    loaded = data.load(split)  # type: ignore[arg-type]
    assert {name: stack.shape for name, stack in loaded.items()} == dict.fromkeys(ACTIVITIES, (5, 100, 6))
    assert all(np.isfinite(stack).all() for stack in loaded.values())


def test_no_recording_is_in_both_splits() -> None:
    train, test = ({r.tobytes() for s in data.load(split).values() for r in s} for split in ("train", "test"))
    assert len(train) == len(test) == 20
    assert not train & test


def test_the_data_names_its_source_and_its_terms_beside_it() -> None:
    notice = (files("millstream._demo") / "NOTICE.md").read_text()
    assert "UEA multivariate" in notice
    assert "arXiv:1811.00075" in notice
    assert "BSD 3-Clause" in notice


def test_statistics_are_those_of_each_window_alone() -> None:
    values = np.random.default_rng(1).normal(size=(60, 6))
    row_splits = np.array([0, 1, 20, 22, 60])
    expected = []
    for begin, end in pairwise(row_splits):
        window = values[begin:end]
        step = np.abs(np.diff(window, axis=0)).mean(axis=0) if len(window) > 1 else np.zeros(6)
        parts = [window.mean(axis=0), window.std(axis=0), window.min(axis=0), window.max(axis=0), step]
        expected.append(np.concatenate(parts))
    np.testing.assert_allclose(model.statistics(values, row_splits), expected, atol=1e-12)


def test_the_model_knows_recordings_it_has_not_seen(recordings: data.Recordings) -> None:
    activity = model.Activity()
    activity.load()
    features, labels = model.windows(recordings)
    assert (activity.forest.predict(features) == labels).mean() > 0.9


def test_truth_is_what_the_watch_replays(recordings: data.Recordings) -> None:
    watches = Watches(recordings, count=3, begin_ms=BEGIN)
    for number, name in enumerate(watches.names):
        for step in range(0, 2 * SESSION, 37):
            truth = watches.truth(name, BEGIN + step * STEP_MS, BEGIN + (step + 1) * STEP_MS)
            reading = watches.reading(number, step)
            assert truth.complete
            assert (recordings[truth.activity] == reading).all(axis=2).any()


def test_only_windows_that_one_activity_fills_are_scored(recordings: data.Recordings) -> None:
    watches = Watches(recordings, count=1, begin_ms=BEGIN)
    session_ms = SESSION * STEP_MS
    first, second = BEGIN, BEGIN + session_ms
    assert watches.truth("watch-00", first, second) == Truth("badminton", complete=True)
    assert watches.truth("watch-00", second, second + 10_000) == Truth("running", complete=True)
    mixed = Truth("badminton > running", complete=False)
    assert watches.truth("watch-00", second - 9_900, second + STEP_MS) == mixed
    assert watches.truth("watch-00", first - STEP_MS, first + 9_900) == Truth("badminton", complete=False)


@pytest.fixture
def progress(recordings: data.Recordings) -> Progress:
    score = Score(Watches(recordings, count=2, begin_ms=BEGIN))
    ten = f'"window": {{"start": {BEGIN}, "end": {BEGIN + 10_000}}}'
    score.add(f'{{"key": "watch-00", {ten}, "activity": "badminton", "score": 0.91}}'.encode())
    score.add(f'{{"key": "watch-01", {ten}, "activity": "standing", "score": 0.5}}'.encode())
    return Progress(elapsed=3.2, sent=200, consumed=190, lag=10, rate=12.0, score=score)


def test_a_plain_report_has_figures_and_predictions_with_the_truth(progress: Progress) -> None:
    out = io.StringIO()
    PlainScreen(Console(file=out, width=40)).show(progress)
    assert out.getvalue().splitlines() == [
        "  3.2 s | readings 190 of 200 sent | windows 2 | windows/s 12 | lag 10"
        " | accuracy 50.0% of 2 complete windows",
        "  watch-00 22:13:20-22:13:30 predicted badminton (0.91), truth badminton: right",
        "  watch-01 22:13:20-22:13:30 predicted standing (0.50), truth running: wrong",
    ]


def test_the_live_screen_fits_the_terminal(progress: Progress) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=13, force_terminal=True, color_system=None)
    screen = LiveScreen(console)
    screen.show(progress)
    screen.close()
    shown = out.getvalue()
    assert "50.0% of 2 complete windows" in shown
    assert re.search(r"watch-00 .* badminton +0\.91 +badminton +right", shown)
    assert "and 1 more" in shown


def test_without_scikit_learn_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.cli.demo.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "Error: the demo's model needs scikit-learn: pip install 'millstream[demo]'"
    ]


@contextmanager
def running_demo(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "from millstream.cli import main; main()", "demo", "--plain", *options]
    # A real cluster that the user's shell names must not be touched: nothing listens on this port.
    environment = {**os.environ, "MILLSTREAM_BROKERS": "127.0.0.1:9", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def summary_counts(output: str) -> dict[str, list[int]]:
    lines = [line.strip() for line in output.partition("Summary\n")[2].splitlines()]
    names = ("readings", "consumed", "windows", "accuracy", "late", "dead letters")
    assert [line.startswith(name) for line, name in zip(lines, names, strict=True)] == [True] * len(names)
    return {
        name: [int(number.replace(",", "")) for number in re.findall(r"(?<![\w.])\d[\d,]*(?![\w.%,])", line)]
        for name, line in zip(names, lines, strict=True)
    }


def assert_adds_up(counts: dict[str, list[int]]) -> None:
    _, consumed = counts["readings"]
    assert sum(counts["consumed"]) == consumed
    written, read = counts["windows"]
    assert written == read > 0
    assert sum(counts["dead letters"]) == counts["consumed"][-1]


@pytest.mark.timeout(180)
def test_the_demo_predicts_beside_the_truth_and_ends_by_itself() -> None:
    # So many that what comes seldom comes soon: who is held up for seconds sends less.
    with running_demo("--seconds", "8", "--watches", "20") as demo:
        output, errors = demo.communicate()
    assert demo.returncode == 0, errors
    assert "Traceback" not in errors
    assert "embedded" in output
    assert "at-least-once" in output

    predictions = [found.groupdict() for found in PREDICTION.finditer(output)]
    assert predictions
    for found in predictions:
        assert found["activity"] in ACTIVITIES
        if found["verdict"] != "not scored":
            assert (found["activity"] == found["truth"]) == (found["verdict"] == "right")

    accuracy, complete = re.findall(r"accuracy +([\d.]+)% of ([\d,]+) complete windows", output)[-1]
    assert int(complete.replace(",", "")) > 100
    assert float(accuracy) > 50, "chance is 25 %"

    counts = summary_counts(output)
    assert_adds_up(counts)
    sent, consumed = counts["readings"]
    assert sent == consumed
    assert counts["late"][0] > 0, "stragglers come later than the grace allows"
    assert counts["dead letters"][0] > 0, "garbled readings are counted"


def read_until(demo: subprocess.Popen[str], pattern: re.Pattern[str]) -> re.Match[str]:
    """Return where the output of a demo matches."""
    assert demo.stdout is not None
    before = ""
    while not (found := pattern.search(before)):
        line = demo.stdout.readline()
        assert line, demo.communicate()[1]
        before += line
    return found


@pytest.mark.timeout(180)
def test_the_demo_says_where_its_page_is_once_it_is_there() -> None:
    with ExitStack() as stack:
        held = False
        with suppress(OSError):  # taken already, by who may let go of it any time
            stack.enter_context(socket.create_server(("127.0.0.1", 6066)))
            held = True
        demo = stack.enter_context(running_demo("--seconds", "600"))
        url = read_until(demo, re.compile(r"^  status   (http://127\.0\.0\.1:\d+)$", re.M))[1]
        assert not (held and url.endswith(":6066"))
        assert request(url, "GET", "/healthz", {})[0] == 200


@pytest.mark.timeout(180)
def test_ctrl_c_ends_the_demo_with_a_summary() -> None:
    with running_demo("--seconds", "600") as demo:
        read_until(demo, PREDICTION)
        demo.send_signal(signal.SIGINT)
        output, errors = demo.communicate()
    assert demo.returncode == 0, errors
    assert "Traceback" not in errors
    assert_adds_up(summary_counts(output))
