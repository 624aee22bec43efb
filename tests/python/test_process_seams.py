"""What runs in processes beside functions and classes on windows: single events, estimators, ONNX files."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

import process_models as models
from harness import READINGS, TUMBLING, reading
from millstream import App, ConfigError, Record, Topic
from millstream._pool import blas

X = np.array([[0.0], [1.0], [4.0], [5.0]], dtype=np.float32)
FITTED = LogisticRegression().fit(X, ["low", "low", "high", "high"])
FED = {"readings": [reading(0, float(v), key) for v, key in zip(X[:, 0], "abcd", strict=True)]}


def scores(model: Any, fed: list[Record], source: Topic = READINGS, **options: Any) -> tuple[App, Any]:
    """Return an app with one model `m` of single events, and what it writes."""
    app = App("app")
    app.batch(source, sink="scores", name="m", **options)(model)
    return app, app.test({"readings": fed})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_events_are_scored_as_in_threads_to_the_last_bit(dtype: Any) -> None:
    source = Topic("readings", timestamp="ts", fields=["v"], context=["site"], dtype=dtype, missing="nan")
    sites = ["hall", None, True, 7]
    fed = [
        Record({"ts": n * 700, "v": n / 7, "site": sites[n % 4]}, key=key, partition=n % 2)
        for n in range(60)
        for key in (f"k{n % 5}".encode(), b"\xff\xfe")
    ]
    outs = [
        scores(models.everything_of_events, fed, source, pool=pool, workers=2, max_events=7)[1]
        for pool in ("threads", "processes")
    ]
    assert outs[0] == outs[1]
    assert len(outs[0]["scores"]) == 120


def test_the_event_that_ends_processes_is_found_and_its_siblings_are_scored() -> None:
    app, out = scores(models.crashes_on_seven, [reading(n, float(n)) for n in range(12)], pool="processes")
    assert [record.value["prediction"] for record in out["scores"]] == [n for n in range(12) if n != 7]
    (letter,) = out["app.dead-letter"]
    assert (letter.value["offset"], letter.value["values"]) == (7, [[7.0]])
    assert "exit code 3" in letter.value["error"]
    assert app.metrics()["models"]["m"]["workers_replaced"] > 0


def test_a_model_of_events_is_warmed_up_with_events_in_its_process() -> None:
    _, out = scores(models.Warm, [reading(0)], pool="processes")
    assert out["scores"][0].value["prediction"] == "EventBatch"


def test_each_process_has_an_instance_and_a_loop_for_an_async_model() -> None:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="out", pool="processes", workers=2)(models.Awaited)
    assert [record.value["prediction"] for record in app.test(FED)["out"]] == [True] * 4


def labels(model: Any, features: Any = models.means, **options: Any) -> list[Any]:
    app = App("app")
    settings = {"pool": "processes", "workers": 2, **options}
    app.add_model(model, source=READINGS, window=TUMBLING, sink="out", features=features, **settings)
    return [record.value for record in app.test(FED)["out"]]


def test_an_estimator_goes_into_its_processes_by_pickle() -> None:
    assert labels(FITTED) == labels(FITTED, pool="threads")
    assert [value["prediction"] for value in labels(FITTED)] == ["low", "low", "high", "high"]


@pytest.mark.parametrize("per_worker", [False, True])
def test_an_onnx_file_is_loaded_in_each_process(tmp_path: Path, per_worker: bool) -> None:
    path = tmp_path / "level.onnx"
    onnx: Any = to_onnx(FITTED, X[:1], options={"zipmap": False})
    path.write_bytes(onnx.SerializeToString())
    names = {"outputs": ["label", "shares"]}
    assert labels(path, per_worker=per_worker, **names) == labels(path, pool="threads", **names)


def test_what_no_process_can_have_is_refused_by_its_name() -> None:
    with pytest.raises(
        ConfigError, match=r"pool='processes': features cannot be imported by its name .*thre"
    ):
        labels(FITTED, lambda batch: models.means(batch))
    fitted = LogisticRegression().fit(X, [0, 0, 1, 1])
    fitted.lock = threading.Lock()
    with pytest.raises(ConfigError, match=r"the model or its params cannot be pickled .*lock.*write a class"):
        labels(fitted)


def test_a_library_that_has_to_be_told_gets_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "cores", lambda: 8)
    for said, workers, threads in (
        ("", 1, 8),
        ("", 3, 2),
        ("", 16, 1),
        ("5", 3, 5),
        ("0", 4, 2),
        ("x", 4, 2),
    ):
        monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", said)
        assert blas.share(workers) == threads
