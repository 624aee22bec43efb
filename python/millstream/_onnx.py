"""An ONNX file as a model: a session, the array that its one input wants, its outputs as fields."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millstream._adapted import Declared, Features, checked_rows
from millstream._core import WindowBatch
from millstream._model import RESERVED_FIELDS
from millstream._pool import blas
from millstream.errors import ConfigError, ModelError

_DTYPES = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class OnnxModel:
    """Runs a session on the processor; it is safe to call from several threads."""

    def __init__(self, path: Path, features: Features, declared: Declared) -> None:
        self._path = path
        self._features = features
        self._declared = declared

    def load(self) -> None:
        """Make the session, and check its input and outputs.

        Raises:
            ConfigError: ONNX Runtime or the file is missing, or it is no model of one input.
        """
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise self._refusal("needs ONNX Runtime; pip install 'millstream[onnx]'") from error
        if not self._path.is_file():
            raise self._refusal(f"there is no such file, seen from {os.getcwd()}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = blas.share(self._declared.workers)
        try:
            self._session = onnxruntime.InferenceSession(
                str(self._path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise self._refusal(f"ONNX Runtime cannot load it: {error}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = [each.name for each in inputs]
            raise self._refusal(f"has {len(inputs)} inputs, {names}; write a class with load and predict")
        self._input = inputs[0].name
        if inputs[0].type not in _DTYPES:
            raise self._refusal(
                f"its input {self._input!r} is of {inputs[0].type}; it takes one of {[*_DTYPES]}"
            )
        self._dtype = _DTYPES[inputs[0].type]
        # Places are numbers, names or None, of which only numbers say something.
        self._shape = tuple(place if isinstance(place, int) else None for place in inputs[0].shape)
        self._names = self._fields([each.name for each in self._session.get_outputs()])

    def predict(self, batch: WindowBatch) -> Any:
        """Return the outputs of the model by field."""
        given = self._features(batch)
        array = np.asarray(given, dtype=self._dtype)
        self._check(given, array, len(batch))
        columns = self._run(array)
        if self._names is None:
            return columns[0]
        return dict(zip(self._names, columns, strict=True))

    def _run(self, array: NDArray[Any]) -> list[Any]:
        size = self._shape[0] if self._shape else None
        if size is None or size == len(array):
            return [_rows(column) for column in self._session.run(None, {self._input: array})]
        columns: list[list[Any]] = [[] for _ in self._session.get_outputs()]
        for at in range(0, len(array), size):
            part = array[at : at + size]
            # A model with a fixed batch dimension sees the last row again where there are too few.
            padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            for column, said in zip(columns, self._session.run(None, {self._input: padded}), strict=True):
                column.append(said[: len(part)])
        return [_rows(_joined(column)) for column in columns]

    def _check(self, given: Any, array: NDArray[Any], windows: int) -> None:
        wanted = f"an array of shape {self._wanted(windows)}"
        checked_rows(self._declared, given, array.shape, windows, wanted)
        fits = len(array.shape) == len(self._shape) and all(
            place is None or place == size
            for place, size in zip(self._shape[1:], array.shape[1:], strict=True)
        )
        if self._shape and not fits:
            raise ModelError(
                f"features of model {self._declared.name!r} returned shape {array.shape}, but input "
                f"{self._input!r} of {self._path.name} takes {self._wanted(windows)}"
            )

    def _wanted(self, windows: int) -> str:
        places = [str(windows), *("any" if place is None else str(place) for place in self._shape[1:])]
        return f"({', '.join(places)})"

    def _fields(self, given: list[str]) -> list[str] | None:
        """Return a name for each output; None where the columns of the only one are named."""
        names = self._declared.outputs
        if names is not None and len(names) == len(given):
            return [*names]
        if names is not None and len(given) == 1:
            return None
        if names is not None:
            raise self._refusal(
                f"has {len(given)} outputs, {given}, and outputs={[*names]} names {len(names)}"
            )
        reserved = [name for name in given if name in RESERVED_FIELDS]
        if reserved:
            raise self._refusal(
                f"has an output {reserved[0]!r}, as each result record has; rename it by outputs="
            )
        return given

    def _refusal(self, problem: str) -> ConfigError:
        return ConfigError(f"model {self._declared.name!r} {str(self._path)!r}: {problem}")


def _rows(column: Any) -> Any:
    """Return a value per row: a tensor (n, 1) is n numbers."""
    if isinstance(column, np.ndarray) and column.ndim > 1 and column.size == len(column):
        return column.reshape(len(column))
    return column


def _joined(parts: list[Any]) -> Any:
    # Sequences of maps, as classifiers of skl2onnx give, are lists.
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    return np.concatenate(parts)
