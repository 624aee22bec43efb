"""ONNX files as models: their input is fed as they declare it, their outputs become fields."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from harness import READINGS, TUMBLING, reading
from millstream import App, ConfigError, ModelError, WindowBatch

VALUES = [0.0, 1.0, 4.0, 5.0, 9.0]
FED = {"readings": [reading(0, v, key) for v, key in zip(VALUES, "abcde", strict=True)]}


def save(
    path: Path,
    *,
    shape: list[int | str | None],
    kind: int = TensorProto.FLOAT,
    inputs: int = 1,
    outputs: tuple[str, ...] = ("doubled",),
) -> Path:
    """Write a model that gives the sum of its inputs, twice, under each name."""
    names = [f"in{n}" for n in range(inputs)]
    nodes = [helper.make_node("Sum" if inputs > 1 else "Identity", names, ["sum"])]
    nodes += [helper.make_node("Add", ["sum", "sum"], [name]) for name in outputs]
    if kind == TensorProto.UINT8:
        # Nothing sums these up.
        nodes = [helper.make_node("Identity", names, [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "double",
        [helper.make_tensor_value_info(name, kind, shape) for name in names],
        [helper.make_tensor_value_info(name, kind, shape) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path)
    return path


def means(batch: WindowBatch) -> NDArray[np.float64]:
    features: NDArray[np.float64] = batch.summary(["mean"])
    return features


def app_of(path: Any, features: Any = means, **options: Any) -> App:
    app = App("app")
    app.add_model(path, source=READINGS, window=TUMBLING, sink="results", features=features, **options)
    return app


def fields(app: App) -> dict[str, list[Any]]:
    out = app.test(FED)
    assert out["app.dead-letter"] == []
    own = ("key", "window", "n_events")
    names = [name for name in out["results"][0].value if name not in own]
    return {name: [record.value[name] for record in out["results"]] for name in names}


DOUBLED = [2 * v for v in VALUES]


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64])
def test_features_are_cast_to_what_the_model_declares(tmp_path: Path, kind: int) -> None:
    path = save(tmp_path / "m.onnx", shape=["n", 1], kind=kind)
    for given in (path, str(path)):
        assert fields(app_of(given)) == {"doubled": DOUBLED}
    assert list(app_of(path).metrics()["models"]) == ["m"]


@pytest.mark.parametrize("size", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("options", [{}, {"pad_batch_to": 8}, {"max_batch": 3}])
def test_a_fixed_batch_dimension_changes_nothing(tmp_path: Path, size: int, options: dict[str, Any]) -> None:
    assert fields(app_of(save(tmp_path / "m.onnx", shape=[size, 1]), **options)) == {"doubled": DOUBLED}


def test_an_input_may_have_any_number_of_dimensions(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", shape=[None, 2, 1])
    got = fields(app_of(path, lambda batch: batch.last(2, value=0)))
    assert got == {"doubled": [[[0.0], [v]] for v in DOUBLED]}


def test_outputs_are_named_by_the_model_or_by_outputs(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", shape=["n", 1], outputs=("a", "b"))
    assert fields(app_of(path)) == {"a": DOUBLED, "b": DOUBLED}
    assert fields(app_of(path, outputs=["x", "y"])) == {"x": DOUBLED, "y": DOUBLED}
    wide = save(tmp_path / "wide.onnx", shape=["n", 2])
    got = fields(app_of(wide, lambda batch: np.repeat(means(batch), 2, axis=1), outputs=["x", "y"]))
    assert got == {"x": DOUBLED, "y": DOUBLED}


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_of_scikit_learn_gives_its_labels_and_probabilities(
    tmp_path: Path, zipmap: bool
) -> None:
    x = np.array(VALUES, dtype=np.float32)[:, None]
    fitted = LogisticRegression().fit(x, ["low", "low", "mid", "mid", "high"])
    path = tmp_path / "m.onnx"
    path.write_bytes(to_onnx(fitted, x[:1], options={"zipmap": zipmap}).SerializeToString())
    got = fields(app_of(path))
    _, rows = got.values()
    assert next(iter(got.values())) == fitted.predict(x).tolist()
    probabilities = [[row[name] for name in fitted.classes_] if zipmap else row for row in rows]
    assert probabilities == pytest.approx(fitted.predict_proba(x), abs=1e-5)


def test_workers_may_share_a_session_or_have_one_each(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", shape=["n", 1])
    for per_worker in (True, False):
        assert fields(app_of(path, workers=2, per_worker=per_worker, max_batch=1)) == {"doubled": DOUBLED}


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        ({"shape": ["n", 1], "inputs": 2}, {}, r"has 2 inputs, \['in0', 'in1'\]; write a class"),
        (
            {"shape": ["n", 1], "outputs": ("a", "b")},
            {"outputs": ["x"]},
            r"has 2 outputs, \['a', 'b'\], and outputs",
        ),
        ({"shape": ["n", 1], "outputs": ("key",)}, {}, r"has an output 'key', .* rename it by outputs="),
        ({"shape": ["n", 1], "kind": TensorProto.UINT8}, {}, r"its input 'in0' is of tensor\(uint8\)"),
        (None, {}, r"there is no such file, seen from"),
        (b"nonsense", {}, r"ONNX Runtime cannot load it"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_when_it_is_loaded(
    tmp_path: Path, made: Any, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "m.onnx"
    if isinstance(made, bytes):
        path.write_bytes(made)
    elif made is not None:
        save(path, **made)
    app = app_of(path, **options)
    with pytest.raises(ConfigError, match=rf"model 'm' '.*m\.onnx': {message}"):
        app.test(FED)
    assert app.metrics()["consumed"] == 0


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda batch: np.zeros((2, 3)), r"returned 2 rows for 5 windows: return an array of shape \(5, 3\)"),
        (
            lambda batch: np.zeros((5, 2)),
            r"returned shape \(5, 2\), but input 'in0' of m.onnx takes \(5, 3\)",
        ),
        (lambda batch: np.zeros(5), r"returned shape \(5,\), but input 'in0' of m.onnx takes \(5, 3\)"),
        (lambda batch: 1.0, r"returned a float without rows for 5 windows"),
    ],
)
def test_features_of_the_wrong_shape_say_what_the_input_takes(
    tmp_path: Path, features: Any, message: str
) -> None:
    path = save(tmp_path / "m.onnx", shape=["n", 3])
    with pytest.raises(ModelError, match=message):
        app_of(path, features, on_error="fail").test(FED)


def test_without_onnx_runtime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"needs ONNX Runtime; pip install 'millstream\[onnx\]'"):
        app_of(tmp_path / "m.onnx").test(FED)
