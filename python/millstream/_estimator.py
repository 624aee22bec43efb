"""A fitted estimator as a model: features of a batch in, the fields of a result out."""

import sys
from typing import Any

import numpy as np

from millstream._adapted import Declared, Features, Method, checked_rows
from millstream._core import WindowBatch
from millstream.errors import ConfigError, ModelError


class EstimatorModel:
    """Calls a method of anything that has scikit-learn's ways."""

    def __init__(self, estimator: Any, features: Features, method: Method, declared: Declared) -> None:
        self._estimator = estimator
        self._features = features
        self._method = method
        self._declared = declared

    def load(self) -> None:
        """Refuse an estimator that knows that it is not fitted."""
        # What is of scikit-learn has imported it.
        if "sklearn" not in sys.modules:
            return
        from sklearn.base import BaseEstimator
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        if not isinstance(self._estimator, BaseEstimator):
            return
        try:
            check_is_fitted(self._estimator)
        except NotFittedError as error:
            kind = type(self._estimator).__name__
            raise ConfigError(
                f"model {self._declared.name!r}: the {kind} is not fitted; call fit(X, y) before "
                "app.add_model, or load a fitted one with joblib.load"
            ) from error

    def predict(self, batch: WindowBatch) -> Any:
        """Return what the estimator says of the features, as fields."""
        given = self._features(batch)
        # Frames and sparse matrices have a shape, too, and stay what they are.
        features = given if hasattr(given, "shape") else np.asarray(given)
        shape = tuple(features.shape)
        checked_rows(self._declared, given, shape, len(batch), "a 2-D array")
        if len(shape) != 2:
            raise ModelError(
                f"features of model {self._declared.name!r} returned {len(shape)} dimensions, shape {shape}: "
                f"return 2, ({len(batch)}, features)"
            )
        said = getattr(self._estimator, self._method)(features)
        return said if self._method == "predict" else self._fields(said)

    def _fields(self, said: Any) -> Any:
        if isinstance(said, list):
            raise ModelError(
                f"{self._method} of model {self._declared.name!r} returned {len(said)} arrays, one for each "
                "output of the estimator; write a class with predict that joins them"
            )
        scores = np.asarray(said)
        if self._declared.outputs is not None:
            return scores
        classes = getattr(self._estimator, "classes_", None)
        if scores.ndim == 2:
            best = scores.argmax(axis=1)
            return {"label": best if classes is None else classes[best], "score": scores.max(axis=1)}
        if classes is None or len(classes) != 2:
            return {"score": scores}
        return {"label": classes[(scores > 0).astype(np.intp)], "score": scores}
