"""A batch as a frame of pandas, polars or pyarrow, each of which is imported only when asked for."""

from importlib import import_module
from typing import Any

import numpy as np

from millstream._core import WindowBatch


class _Stream:
    """A batch as others read Arrow data: by event, or by window."""

    def __init__(self, batch: WindowBatch, long: bool) -> None:
        self._batch = batch
        self._long = long

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_stream__(requested_schema, long=self._long)


def to_arrow(batch: WindowBatch, long: bool) -> Any:
    """Return the batch as a `pyarrow.Table`."""
    return _library("pyarrow", "to_arrow()").table(_Stream(batch, long))


def to_polars(batch: WindowBatch, long: bool) -> Any:
    """Return the batch as a `polars.DataFrame`."""
    return _library("polars", "to_polars()").DataFrame(_Stream(batch, long))


def to_pandas(batch: WindowBatch, long: bool) -> Any:
    """Return the batch as a `pandas.DataFrame`; pandas alone is enough."""
    pandas = _library("pandas", "to_pandas()")
    lengths, bounds = batch.lengths, batch.row_splits[1:-1]
    declared = {*batch.names, *batch.context}

    def own(name: str) -> str:
        return f"{name}_" if name in declared else name

    def per_window(values: Any) -> Any:
        return np.repeat(values, lengths) if long else values

    def per_event(values: Any) -> Any:
        if long:
            return values
        lists = np.empty(len(batch), dtype=object)
        lists[:] = np.split(values, bounds)
        return lists

    def times(values: Any) -> Any:
        return pandas.to_datetime(values.view("datetime64[ms]"), utc=True)

    columns: dict[str, Any] = {}
    if long:
        columns[own("window")] = per_window(np.arange(len(batch)))
    columns[own("key")] = per_window(batch.keys)
    columns[own("start")] = times(per_window(batch.starts))
    columns[own("end")] = times(per_window(batch.ends))
    columns[own("partition")] = per_window(batch.partitions)
    if not long:
        columns[own("n_events")] = lengths
    if _has_timestamps(batch):
        stamps = batch.timestamps
        columns[own("timestamp")] = times(stamps) if long else per_event(stamps.view("datetime64[ms]"))
    for name, values in batch.context.items():
        if name not in batch.names:
            columns[name] = pandas.Series(per_window(values)).infer_objects()
    for name in batch.names:
        columns[name] = per_event(batch[name])
    return pandas.DataFrame(columns, copy=True)


def _has_timestamps(batch: WindowBatch) -> bool:
    try:
        _ = batch.timestamps
    except AttributeError:
        return False
    return True


def _library(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        problem = f"{method} needs {name}, which is not installed: pip install 'millstream[{name}]'"
        raise ModuleNotFoundError(problem, name=name) from error
