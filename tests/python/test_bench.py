"""The benchmark's own arithmetic: what a peer is measured by, and what it is compared with."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))

import peer
import peer_run
import table
import watch


def watched(looks: list[watch.Use], output: list[str] | None = None) -> watch.Watched:
    return watch.Watched(looks, output or [], [], ended=False)


def test_a_peer_is_measured_over_the_second_half_of_its_way() -> None:
    marks = [(1_000.0, 0.0), (5_000.0, 300.0), (6_000.0, 500.0), (8_000.0, 1_000.0)]
    looks = [watch.Use(0, 0, 10), watch.Use(4, 7, 30), watch.Use(6, 8, 30), watch.Use(10, 12, 20)]
    figures = peer_run.steady(marks, watched(looks))
    assert figures["events_per_s"] == 250
    assert figures["cpu_us_per_event"] == pytest.approx(2 / 500 * 1e6)
    assert figures["prefix"] == 1_000


def test_a_peer_without_results_has_no_rate() -> None:
    assert peer_run.steady([], watched([watch.Use(0, 0, 1), watch.Use(1, 1, 1)]))["events_per_s"] == 0


def test_progress_is_taken_from_lines_that_tell_it() -> None:
    output = ["warming up", '{"time": 1, "consumed": [0, 0]}', '{"time": 2, "consumed": [3, 4]}', "17"]
    assert [line["time"] for line in peer_run.progress(watched([], output))] == [2]


def test_a_program_is_ended_with_its_children_when_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        """Stands still until the program has started, however long that takes."""

        sleep = staticmethod(time.sleep)
        now = 0.0

        def time(self) -> float:
            self.now += (tmp_path / "log.out").read_text() == "on\n"
            return self.now

    monkeypatch.setattr(watch, "time", Clock())
    script = "import subprocess, sys; print('on', flush=True); subprocess.run(['sleep', '600'])"
    run = watch.watch([sys.executable, "-c", script], 0.5, tmp_path / "log", {})
    assert run.output == ["on"]
    assert not run.ended
    assert run.peak > 0


def test_a_program_that_ends_by_itself_is_told_of(tmp_path: Path) -> None:
    run = watch.watch([sys.executable, "-c", "raise SystemExit('no broker')"], 60, tmp_path / "log", {})
    assert run.ended
    assert run.errors == ["no broker"]


def test_an_unknown_peer_is_refused_by_name() -> None:
    with pytest.raises(SystemExit, match="'storm'"):
        peer.chosen("flink,storm")
    assert peer.chosen("none") == []


def test_ratios_are_of_the_same_size_and_name_the_best_python_peer() -> None:
    def entry(job: str, rate: float, cpu: float, guarantee: str = "at_least_once") -> dict[str, Any]:
        names = {"job": job, "guarantee": guarantee, "size_s": 10}
        return {**names, "events_per_s": rate, "cpu_us_per_event": cpu}

    own = [entry("millstream", 1e6, 1, "exactly_once"), entry("millstream", 9e6, 1)]
    peers = [entry("quix", 1e4, 60), entry("bytewax", 4e4, 25), entry("flink", 0, 10)]
    compared = {one["peer"]: one for one in table.against_peers([*own, *peers])}
    assert compared["quix"]["events_per_s"] == 100
    assert compared["quix"]["cpu_us_per_event"] == 60
    assert compared[table.BEST_PYTHON]["events_per_s"] == 25
    assert compared[table.BEST_PYTHON]["goal"] == 30
    assert "flink" not in compared
