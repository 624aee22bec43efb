"""Models in processes of their own: results are those of threads, and what ends a process is contained."""

import contextlib
import gc
import itertools
import json
import logging
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

import process_models as models
from harness import READINGS, TUMBLING, headers, reading
from millstream import App, ConfigError, ModelError, Record, Topic, TumblingWindow, WindowBatch
from millstream._core import Consumer, EmbeddedBroker, Producer
from millstream._pool import gil

KEYS = [f"k{n:02}" for n in range(16)]


def app_of(model: Any, source: Topic = READINGS, **options: Any) -> App:
    """Return an app with one model `m` in processes, `readings` -> `results`."""
    app = App("app")
    settings = {"pool": "processes", **options}
    app.model(source=source, window=TUMBLING, sink="results", name="m", **settings)(model)
    return app


def one_each(*keys: str) -> dict[str, list[Record]]:
    """Return a reading of each key at the same time."""
    return {"readings": [reading(0, n / 4, key) for n, key in enumerate(keys)]}


def keys_of(records: list[Record]) -> list[str]:
    return [record.key.decode() for record in records if isinstance(record.key, bytes)]


def values_of(records: list[Record]) -> list[dict[str, Any]]:
    return [record.value for record in records if isinstance(record.value, dict)]


def replaced(app: App) -> int:
    return int(app.metrics()["models"]["m"]["workers_replaced"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_results_are_those_of_threads_to_the_last_bit(dtype: Any) -> None:
    source = Topic(
        "readings", timestamp="ts", fields=["v", "w"], context=["site"], dtype=dtype, missing="nan"
    )
    sites: list[Any] = ["hall", None, True, 7, 2**63 + 1, 0.1 + 0.2, -0.0, "ä\n"]
    fed = [
        Record({"ts": n * 700, "v": n / 7, "site": sites[n % 8]}, key=key, partition=n % 2)
        for n in range(60)
        for key in (f"k{n % 5}".encode(), b"\xff\xfe")
    ]
    outs = [
        app_of(models.everything, source, pool=pool, max_batch=3).test({"readings": fed})
        for pool in ("threads", "processes")
    ]
    assert outs[0] == outs[1]
    assert len(outs[0]["results"]) > 20


def test_a_model_runs_in_processes_that_are_named_after_it() -> None:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="results", name="activity", pool="processes", workers=2)(
        models.where
    )
    said = values_of(app.test(one_each("a", "b"))["results"])
    assert {value["pid"] for value in said}.isdisjoint({os.getpid()})
    assert {(value["name"], value["shown"]) for value in said} == {
        ("millstream-predict-activity-0", "activity-0")
    }


@pytest.mark.parametrize(
    ("poison", "how"),
    [
        ("exit", "ended with exit code 3 in a call of predict on 1 windows"),
        ("segfault", "was ended by SIGSEGV (Segmentation fault) in a call"),
        ("killed", "was ended by SIGKILL (Killed), as happens where memory runs out, in a call"),
        ("forked", "ended with exit code 4"),
    ],
)
def test_the_window_that_ends_processes_is_found_and_its_siblings_get_their_results(
    poison: str, how: str
) -> None:
    app = app_of(models.crashes)
    out = app.test(one_each(*KEYS[:5], poison, *KEYS[5:]))
    assert keys_of(out["results"]) == KEYS
    (dead,) = out["app.dead-letter"]
    assert (dead.key, headers(dead)["reason"]) == (poison.encode(), "model_error")
    assert "the process of model m" in headers(dead)["detail"]
    assert how in headers(dead)["detail"]
    # The batch of 17 twice, a part at each of four halvings at least, the window alone twice.
    assert 5 <= replaced(app) <= 2 + 5 + 1


def test_a_call_that_takes_longer_than_its_timeout_is_ended_and_its_window_found() -> None:
    app = app_of(models.crashes, timeout="2s")
    out = app.test(one_each("a", "hang", "b"))
    assert keys_of(out["results"]) == ["a", "b"]
    (dead,) = out["app.dead-letter"]
    detail = headers(dead)["detail"]
    assert dead.key == b"hang"
    assert (
        "was ended, as it had not returned within timeout=2000ms in a call of predict on 1 windows" in detail
    )


def test_a_batch_whose_process_was_lost_once_is_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for on_error in ("dead_letter", "fail"):
        monkeypatch.setenv("CRASHED", str(tmp_path / on_error))
        app = app_of(models.CrashesOnce, on_error=on_error)
        out = app.test(one_each("a"))
        assert (len(out["results"]), len(out["app.dead-letter"])) == (1, 0)
        model = app.metrics()["models"]["m"]
        assert (model["workers_replaced"], model["retries"], model["failed_calls"]) == (1, 1, 1)


def test_with_fail_a_window_that_ends_processes_ends_the_run() -> None:
    app = app_of(models.crashes, on_error="fail")
    with pytest.raises(
        ModelError, match="process of model m ended with exit code 3 in a call of predict on 2"
    ):
        app.test(one_each("a", "exit"))
    assert replaced(app) == 2


@pytest.mark.timeout(300)
def test_a_model_that_ends_every_process_ends_the_run_instead_of_killing_on_and_on() -> None:
    app = app_of(models.always_crashes)
    with pytest.raises(
        ModelError, match="32 processes in a row ended without a call that returned; the last"
    ):
        app.test(one_each(*(f"k{n}" for n in range(40))))


def test_a_forked_process_does_not_go_on_as_the_model() -> None:
    out = app_of(models.forks, max_batch=1).test(one_each(*KEYS))
    assert [value["prediction"] for value in values_of(out["results"])] == KEYS


def test_exceptions_come_back_as_they_are_with_their_traceback() -> None:
    out = app_of(models.raises).test(one_each("a", "plain", "b", "unlike"))
    assert keys_of(out["results"]) == ["a", "b"]
    plain, unlike = out["app.dead-letter"]
    assert headers(plain)["detail"] == "ValueError: cannot bear it"
    assert isinstance(plain.value, dict)
    assert 'process_models.py", line' in plain.value["traceback"]
    assert "in raises" in plain.value["traceback"]
    assert "_answer" not in plain.value["traceback"]
    assert "process_models.Unlike: one" in headers(unlike)["detail"]
    assert isinstance(unlike.value, dict)
    assert "in raises" in unlike.value["traceback"]


def test_with_fail_the_exception_leaves_the_run_and_brings_its_cause() -> None:
    with pytest.raises(ValueError, match="cannot bear it") as caught:
        app_of(models.raises, on_error="fail").test(one_each("plain"))
    assert "in raises" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match="no such thing") as caught:
        app_of(models.raises, on_error="fail").test(one_each("from"))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ModelError, match=r"raised process_models\.Unlike: one") as refused:
        app_of(models.raises, on_error="fail").test(one_each("unlike"))
    assert "in raises" in str(refused.value.__cause__)


def test_sys_exit_in_a_process_is_a_failure_of_the_window() -> None:
    app = app_of(models.raises)
    out = app.test(one_each("a", "exit"))
    assert (keys_of(out["results"]), keys_of(out["app.dead-letter"])) == (["a"], ["exit"])
    assert replaced(app) == 0


def test_a_result_that_cannot_be_pickled_says_so() -> None:
    with pytest.raises(
        ModelError, match=r"returned a list that cannot be pickled .*lambda.*pool=\"processes\""
    ):
        app_of(models.unpicklable).test(one_each("a", "b"))


def test_arrays_that_a_model_keeps_stay_as_they_are() -> None:
    fed = [reading(n * 10_000 + n, float(n)) for n in range(6)]
    out = app_of(models.Keeper).test({"readings": fed})
    said = values_of(out["results"])
    assert len(said) == 6
    assert all(value["same"] and not value["writeable"] for value in said)


def test_batches_of_any_size_go_through_the_same_memory() -> None:
    sizes = [1, 30_000, 10]
    fed = [reading(10_000 * w + n % 10_000, float(n)) for w, size in enumerate(sizes) for n in range(size)]
    out = app_of(models.everything, READINGS_WITH_SITE).test({"readings": fed})
    assert [value["n_events"] for value in values_of(out["results"])] == sizes
    assert [len(value["bits"]) for value in values_of(out["results"])] == [16 * size for size in sizes]


READINGS_WITH_SITE = Topic("readings", timestamp="ts", fields=["v"], context=["site"], missing="nan")


def test_each_process_loads_warms_up_and_closes_its_own_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(notes))
    app_of(models.Life, workers=2).test(one_each("a"))
    lines = [line.split(" ", 1) for line in notes.read_text().splitlines()]
    lives = sorted([what for pid, what in lines if pid == one] for one in {pid for pid, _ in lines})
    assert lives == [["load", "warmup 8", "close"], ["load", "warmup 8", "predict", "close"]]


def test_what_goes_wrong_before_the_first_call_ends_the_run_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    with pytest.raises(FileNotFoundError, match=r"no model\.onnx here"):
        app_of(models.BadLoad, workers=2).test(one_each("a"))
    with pytest.raises(ModelError, match="process of model 'm' ended with exit code 7 before the model was"):
        app_of(models.DiesLoading).test(one_each("a"))
    with pytest.raises(RuntimeError, match="cannot close"):
        app_of(models.BadClose).test(one_each("a"))


def test_a_model_that_cannot_be_loaded_again_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    with pytest.raises(ModelError, match=r"model m cannot be loaded again .*OSError: the licence is taken"):
        app_of(models.LoadsOnce).test(one_each("a", "b"))


def test_a_model_that_has_no_name_to_be_imported_by_is_refused() -> None:
    def inner(batch: WindowBatch) -> Any:
        return batch.lengths

    for model in (inner, lambda batch: batch.lengths):
        with pytest.raises(ConfigError, match=r"model 'm' pool='processes'.*top level of a module.*threads"):
            app_of(model).test(one_each("a"))


def test_an_unknown_pool_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'm' pool='fibers'.*\"threads\" or \"processes\""):
        app_of(models.where, pool="fibers")


def test_libraries_get_a_share_of_the_cores_in_threads_and_in_processes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream._pool.blas.cores", lambda: 2)
    for variable in [name for name in os.environ if name.endswith("_NUM_THREADS")]:
        monkeypatch.delenv(variable)
    caplog.set_level(logging.INFO, "millstream.predict")
    for pool in ("processes", "threads"):
        caplog.clear()
        (value,) = values_of(app_of(models.Threads, pool=pool, workers=2).test(one_each("a"))["results"])
        assert value["most"] == 1
        said = [message for message in caplog.messages if "BLAS" in message]
        assert len(said) <= 1
        if pool == "processes":
            assert value["omp"] == "1"
            assert "use 1 thread in each of its 2 workers, as there are 2 cores" in said[0]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    (value,) = values_of(app_of(models.Threads, workers=2).test(one_each("a"))["results"])
    assert value["omp"] == "3"


def test_a_model_that_holds_the_interpreter_is_told_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream._pool.blas.cores", lambda: 2)
    monkeypatch.setattr("millstream._pool.gil._BUSY", 1.0)
    monkeypatch.setattr("millstream._pool.gil._LONGEST", 60.0)
    for model, told in ((models.Spinning, 1), (models.Sleeping, 0)):
        caplog.clear()
        app_of(model, pool="threads", workers=2).test(one_each("a"))
        assert len([message for message in caplog.messages if "pool=" in message]) == told, model
    caplog.clear()
    app_of(models.Spinning, pool="threads").test(one_each("a"))
    app_of(models.Spinning, workers=2).test(one_each("a"))
    assert not [message for message in caplog.messages if "interpreter" in message]


def test_a_probe_on_busy_cores_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream._pool.blas.cores", lambda: 2)
    batch, model = WindowBatch.synthetic(["v"], 2, 2, True), models.Spinning().predict
    looks = itertools.count()

    def half_waited() -> tuple[float, float]:
        # Of no clock: in whichever order, and however late, two threads look.
        look = next(looks)
        return look * 0.01, look * 0.005

    monkeypatch.setattr("millstream._pool.gil._look", half_waited)
    assert gil.held_share((model, model), batch) is None


def test_a_probe_of_a_model_that_fails_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream._pool.blas.cores", lambda: 2)
    batch = WindowBatch.synthetic(["v"], 2, 2, True)

    def fails(batch: WindowBatch) -> Any:
        raise ValueError("not with made-up windows")

    assert gil.held_share((fails, fails), batch) is None
    assert not gil.is_held(None)


def test_two_workers_run_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEETING", str(tmp_path))
    app = App("pool-embedded", brokers="embedded")
    source = Topic("pool.readings", timestamp="ts", fields=["v"], idle_timeout=None)
    window = TumblingWindow("1s", grace="0s")
    settings: dict[str, Any] = {"pool": "processes", "workers": 2, "max_batch": 1, "on_error": "fail"}
    app.model(source, window=window, sink="pool.out", name="m", **settings)(models.meets)
    broker = EmbeddedBroker.get()
    broker.create_topic("pool.readings", 1)
    producer = Producer(broker.brokers)
    for n in range(9):
        producer.send("pool.readings", b'{"ts": %d, "v": 0}' % (1_000 * n), key=b"a", timestamp=1_000 * n)
    producer.flush()
    producer.close()
    app.run(until="end")
    consumer = Consumer(broker.brokers, "pool.out")
    records: list[Any] = []
    while len(records) < 8:
        records += consumer.poll(0.1)
    consumer.close()
    assert len({json.loads(record[3] or b"")["prediction"] for record in records}) == 2


def mapped_elsewhere() -> set[str]:
    """Return the names in shared memory that other processes use."""
    found: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        # Processes end, and some are not ours to look at.
        with contextlib.suppress(OSError):
            if maps.parent.name != str(os.getpid()):
                found.update(re.findall(r"/dev/shm/(\S+)", maps.read_text(errors="replace")))
    return found


def test_nothing_is_left_in_shared_memory_and_no_descriptor_open() -> None:
    def held() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text()
        return len(re.findall(r"/memfd:|/dev/shm/", maps)), len(os.listdir("/proc/self/fd"))

    app_of(models.where).test(one_each("a"))
    names, before = set(os.listdir("/dev/shm")), held()
    for _ in range(2):
        app_of(models.crashes).test(one_each("a", "exit"))
    gc.collect()
    after = held()
    assert after[0] <= before[0]
    assert after[1] <= before[1]
    # Other programs have names of their own there: they are mapped by these, or do not stay.
    left, give_up = set(os.listdir("/dev/shm")) - names, time.monotonic() + 60
    while (left := left & set(os.listdir("/dev/shm")) - mapped_elsewhere()) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert left == set()


def test_the_processes_are_gone_when_the_run_is() -> None:
    (value,) = values_of(app_of(models.where, workers=2).test(one_each("a"))["results"])
    with pytest.raises(ProcessLookupError):
        os.kill(value["pid"], 0)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert [command for command in commands if re.search(rb"spawn_main", command)] == []
