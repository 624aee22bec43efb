"""`app.add_model`: fitted estimators on features, and what is no model of any kind."""

import inspect
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harness import READINGS, TUMBLING, headers, reading
from millstream import App, ConfigError, ModelError, WindowBatch
from millstream._options import ModelOptions

FED = {"readings": [reading(0, v, key) for v, key in zip([0.0, 1.0, 4.0, 5.0], "abcd", strict=True)]}
X = np.array([[0.0], [1.0], [4.0], [5.0]])
NAMES = np.array(["low", "low", "high", "high"])
THREE = np.array(["low", "low", "mid", "high"])
BOTH = pd.DataFrame(X, columns=["v"])


def means(batch: WindowBatch) -> NDArray[np.float64]:
    features: NDArray[np.float64] = batch.summary(["mean"])
    return features


def app_of(model: Any, features: Any = means, **options: Any) -> App:
    app = App("app")
    app.add_model(model, source=READINGS, window=TUMBLING, sink="results", features=features, **options)
    return app


def fields(app: App) -> dict[str, list[Any]]:
    out = app.test(FED)
    assert out["app.dead-letter"] == []
    own = ("key", "window", "n_events")
    names = [name for name in out["results"][0].value if name not in own]
    return {name: [record.value[name] for record in out["results"]] for name in names}


def test_a_fitted_estimator_predicts_on_the_features_of_each_window() -> None:
    fitted = LinearRegression().fit(X, 2 * X[:, 0])
    assert fields(app_of(fitted)) == {"prediction": pytest.approx([0, 2, 8, 10])}


def test_labels_are_those_of_training() -> None:
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, NAMES)
    assert fields(app_of(fitted)) == {"prediction": NAMES.tolist()}


def test_predict_proba_gives_the_likeliest_label_and_its_probability() -> None:
    fitted = LogisticRegression().fit(X, THREE)
    got, probabilities = fields(app_of(fitted, method="predict_proba")), fitted.predict_proba(X)
    assert got["label"] == fitted.predict(X).tolist()
    assert got["score"] == probabilities.max(axis=1).tolist()
    named = fields(app_of(fitted, method="predict_proba", outputs=[*fitted.classes_]))
    assert [*named] == ["high", "low", "mid"]
    assert np.array([*named.values()]).T.tolist() == probabilities.tolist()


@pytest.mark.parametrize("labels", [NAMES, THREE])
def test_decision_function_gives_the_label_that_predict_does(labels: NDArray[np.str_]) -> None:
    fitted = LogisticRegression().fit(X, labels)
    got, scores = fields(app_of(fitted, method="decision_function")), fitted.decision_function(X)
    assert got["label"] == fitted.predict(X).tolist()
    assert got["score"] == (scores if scores.ndim == 1 else scores.max(axis=1)).tolist()


def test_decision_function_of_a_detector_is_a_score_alone() -> None:
    fitted = IsolationForest(n_estimators=5, random_state=0).fit(X)
    assert fields(app_of(fitted, method="decision_function")) == {
        "score": fitted.decision_function(X).tolist()
    }


def test_features_may_be_a_frame_with_the_names_of_training() -> None:
    fitted = LinearRegression().fit(BOTH, X[:, 0])
    framed = app_of(fitted, lambda batch: pd.DataFrame(batch.summary(["mean"]), columns=["v"]))
    assert fields(framed) == {"prediction": pytest.approx([0, 1, 4, 5])}


def test_anything_with_predict_is_an_estimator() -> None:
    class Mine:
        def predict(self, features: Any) -> Any:
            return features[:, 0] + 1

        def __call__(self) -> None: ...

    app = app_of(Mine())
    assert fields(app) == {"prediction": [1, 2, 5, 6]}
    assert list(app.metrics()["models"]) == ["Mine"]


def test_a_padded_batch_may_have_padded_features() -> None:
    seen = []

    class Mine:
        def predict(self, features: Any) -> Any:
            seen.append(len(features))
            return features[:, 0]

    assert fields(app_of(Mine(), pad_batch_to=16)) == {"prediction": [0, 1, 4, 5]}
    assert seen == [16]


def test_functions_and_classes_are_models_here_too() -> None:
    class Model:
        def predict(self, batch: WindowBatch) -> Any:
            return batch.lengths

    for model in (Model, lambda batch: batch.lengths):
        assert fields(app_of(model, None, name="m", workers=2)) == {"prediction": [1, 1, 1, 1]}


def test_what_is_not_fitted_is_refused_when_it_is_loaded() -> None:
    app = app_of(make_pipeline(StandardScaler(), LogisticRegression()))
    with pytest.raises(ConfigError, match=r"model 'Pipeline': the Pipeline is not fitted; call fit\(X, y\)"):
        app.test(FED)
    assert app.metrics()["consumed"] == 0


class _Mean(BaseEstimator):  # type: ignore[misc]
    """An estimator that has nothing to fit."""

    def predict(self, features: Any) -> Any:
        return features.mean(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def test_an_estimator_that_says_it_is_fitted_is_taken_at_its_word() -> None:
    class Fits(_Mean):
        def fit(self, features: Any) -> None: ...

    assert fields(app_of(Fits())) == {"prediction": [0, 1, 4, 5]}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            lambda batch: batch.values[:1],
            r"features of model 'm' returned 1 rows for 4 windows: return a 2-D",
        ),
        (lambda batch: 3, r"returned an int without rows for 4 windows"),
        (lambda batch: batch.lengths, r"returned 1 dimensions, shape \(4,\): return 2, \(4, features\)"),
        (lambda batch: batch.last(2), r"returned 3 dimensions, shape \(4, 2, 1\): return 2"),
    ],
)
def test_features_of_the_wrong_shape_say_what_they_are_and_should_be(features: Any, message: str) -> None:
    fitted = LinearRegression().fit(X, X[:, 0])
    with pytest.raises(ModelError, match=message):
        app_of(fitted, features, name="m", on_error="fail").test(FED)
    dead = app_of(fitted, features, name="m").test(FED)["app.dead-letter"]
    assert all("features of model 'm' returned" in headers(record)["detail"] for record in dead)


def test_several_outputs_of_probabilities_are_refused() -> None:
    fitted = MultiOutputClassifier(LogisticRegression()).fit(X, np.stack([NAMES, NAMES], axis=1))
    with pytest.raises(ModelError, match=r"predict_proba of model 'm' returned 2 arrays"):
        app_of(fitted, method="predict_proba", name="m", on_error="fail").test(FED)


FITTED = LinearRegression().fit(X, X[:, 0])


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            FITTED,
            {"features": None},
            r"features=None: but the estimator LinearRegression takes an array.*summary",
        ),
        (FITTED, {"features": 3}, r"features=3: is no function of a batch"),
        (FITTED, {"method": "transform"}, r"method='transform': is not accepted; write \"predict\" or"),
        (FITTED, {"method": "predict_proba"}, r"method=.* is no method of the estimator LinearRegression"),
        (len, {}, r"features=.*is for fitted estimators and ONNX files only"),
        (len, {"features": None, "method": "decision_function"}, r"method=.*is for estimators only"),
        (3, {"features": None}, r"model=3: has no method predict.*fitted estimator"),
        ("model.pkl", {}, r"model='model.pkl': is no path of an ONNX file; give a path that ends in .onnx"),
        (Path("m.onnx"), {"features": None}, r"features=None: but the ONNX model m.onnx takes an array"),
    ],
)
def test_what_is_no_model_is_refused_where_it_is_added(
    model: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=r"app\.add_model\(\) " + message):
        app_of(model, **options)


def test_async_features_are_refused() -> None:
    async def later(batch: WindowBatch) -> Any: ...

    with pytest.raises(ConfigError, match=r"features=.*is async; write it as def"):
        app_of(FITTED, later)


def test_estimators_take_batches_and_are_one() -> None:
    with pytest.raises(ConfigError, match=r"batch=False: does not go with an estimator"):
        app_of(FITTED, batch=False)
    with pytest.raises(ConfigError, match=r"per_worker=True: needs a class"):
        app_of(FITTED, per_worker=True)


def test_an_estimator_that_is_added_again_takes_the_place_of_the_earlier_one() -> None:
    app = app_of(LogisticRegression().fit(X, NAMES), name="level")
    again = LogisticRegression().fit(X, ["cold", "cold", "hot", "hot"])
    where: dict[str, Any] = {
        "source": READINGS,
        "window": TUMBLING,
        "features": lambda batch: means(batch),
        "name": "level",
    }
    app.add_model(again, sink="results", **where)
    assert fields(app)["prediction"] == ["cold", "cold", "hot", "hot"]
    with pytest.raises(ConfigError, match="is taken by another model"):
        app.add_model(IsolationForest().fit(X), sink="results", **where)
    with pytest.raises(ConfigError, match="is taken by another model"):
        app.add_model(again, sink="elsewhere", **where)


def test_add_model_has_the_options_of_model() -> None:
    parameters = inspect.signature(App.model).parameters
    own = ("self", "source", "window", "sink")
    assert [*ModelOptions.__annotations__] == [name for name in parameters if name not in own]
    assert get_type_hints(ModelOptions) == {
        name: hint for name, hint in get_type_hints(App.model).items() if name not in (*own, "return")
    }
