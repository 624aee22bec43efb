"""Models that are objects, not code: what `App.add_model` makes of an estimator or an ONNX file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

from millstream import _check
from millstream._core import WindowBatch
from millstream._loops import is_async
from millstream.errors import ModelError

Features: TypeAlias = Callable[[WindowBatch], Any]
Method: TypeAlias = Literal["predict", "predict_proba", "decision_function"]


class Declared(Protocol):
    """What an instance is told of its declaration."""

    @property
    def name(self) -> str: ...
    @property
    def workers(self) -> int: ...
    @property
    def outputs(self) -> tuple[str, ...] | None: ...
    @property
    def pad_batch_to(self) -> int | None: ...


@dataclass(frozen=True)
class Adapted:
    """A model made out of an object."""

    name: str | None
    """What it is called where nobody says."""
    origin: str
    """What it is made of: the class of an estimator, or a path."""
    features: Features
    """Makes its input of a batch."""
    make: Callable[[Declared], Any]
    """Makes what is loaded, with the methods of a model class."""
    many: bool
    """Whether instances are apart from each other, for `per_worker`."""


def adapt(model: object, features: object, method: object) -> Any:
    """Return what `App.model` is to register for a model of `App.add_model`.

    Raises:
        ConfigError: It is no model of any kind, or `features` or `method` do not go with it.
    """
    path = _onnx_path(model)
    if path is None and not isinstance(model, type) and callable(getattr(model, "predict", None)):
        # It loads when it is needed: NumPy alone is enough for everything else.
        from millstream._estimator import EstimatorModel

        kind, name = f"estimator {type(model).__name__}", type(model).__name__
        chosen = _check.choice("app.add_model() method", method, get_args(Method))
        if not callable(getattr(model, chosen, None)):
            raise _check.refusal(
                "app.add_model() method", method, f"is no method of the {kind}", "choose another"
            )
        given = _features(kind, features)
        origin = f"{type(model).__module__}.{type(model).__qualname__}"
        return Adapted(name, origin, given, partial(EstimatorModel, model, given, chosen), many=False)
    if method != "predict":
        raise _check.refusal("app.add_model() method", method, "is for estimators only", "leave it out")
    if path is not None:
        from millstream._onnx import OnnxModel

        given = _features(f"ONNX model {path.name}", features)
        return Adapted(path.stem, str(path), given, partial(OnnxModel, path, given), many=True)
    if features is not None:
        problem = "is for fitted estimators and ONNX files only"
        raise _check.refusal(
            "app.add_model() features", features, problem, "leave it out: predict gets the batch itself"
        )
    if not callable(model):
        problem = "has no method predict, and is neither a path, a function nor a class"
        fix = 'give a fitted estimator, "model.onnx", a function predict(batch) or a class'
        raise _check.refusal("app.add_model() model", model, problem, fix)
    return model


def checked_rows(declared: Declared, given: Any, shape: tuple[int, ...], windows: int, wanted: str) -> None:
    """Check what `features` returned against the batch.

    Raises:
        ModelError: It has not one row per window, or is not of the form that is `wanted`.
    """
    if not shape or shape[0] not in (windows, declared.pad_batch_to):
        rows = f"{shape[0]} rows" if shape else f"{_check.kind(given)} without rows"
        raise ModelError(
            f"features of model {declared.name!r} returned {rows} for {windows} windows: return {wanted}, "
            "one row per window"
        )


def _onnx_path(model: object) -> Path | None:
    if not isinstance(model, str | os.PathLike):
        return None
    path = Path(os.fsdecode(model))
    if path.suffix != ".onnx":
        fix = "give a path that ends in .onnx, or load the model in a class with load(self)"
        raise _check.refusal("app.add_model() model", model, "is no path of an ONNX file", fix)
    return path


def _features(kind: str, features: object) -> Features:
    fix = "write features=lambda batch: batch.summary(), or what the model was trained on"
    if features is None:
        raise _check.refusal(
            "app.add_model() features", features, f"but the {kind} takes an array, not a batch", fix
        )
    if not callable(features):
        raise _check.refusal("app.add_model() features", features, "is no function of a batch", fix)
    if is_async(features):
        raise _check.refusal("app.add_model() features", features, "is async", "write it as def")
    return features
