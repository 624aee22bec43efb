"""What a backtest reads: frames of any library that speaks Arrow, and CSV and Parquet files."""

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from millstream import _check
from millstream.errors import MillstreamError

_FILES = (".parquet", ".csv")
# The columns that no topic declares, by what they are called.
_KEY, _TIMESTAMP = "key", "timestamp"
_BESIDE = (_KEY, _TIMESTAMP, "partition", "offset")


def frame(given: Any, source: Mapping[str, Any]) -> Any:
    """Return something with `__arrow_c_stream__` that has the columns which a source wants.

    Raises:
        ConfigError: It is neither a frame nor a file of a kind that is read.
        ModuleNotFoundError: Nothing that reads it is installed.
    """
    setting = f"App.backtest() data of {source['topic']!r}"
    if isinstance(given, str | os.PathLike):
        return _file(setting, Path(given), source)
    if _library(given) == "polars":
        given = given.collect() if hasattr(given, "collect") else given
    if not _is_frame(given):
        fix = "give a frame of pandas, polars or pyarrow, or the path of a CSV or Parquet file"
        raise _check.refusal(setting, type(given).__name__, "is not a frame", fix)
    if _library(given) == "polars":
        names = _chosen(given.columns, source)
        given = given.head(0) if names is None else given.select(names)
        null = import_module("polars").Null
        # Readers do not agree on what a column of nulls alone looks like.
        return given.cast({name: int for name, kind in given.schema.items() if kind == null})
    if _library(given) == "pandas":
        _require("pyarrow", "a pandas frame")
        # An index with a name is a column too.
        names = _chosen([*given.columns, *given.index.names], source)
        return given.head(0) if names is None else given[[name for name in names if name in given.columns]]
    return given


def wanted(source: Mapping[str, Any]) -> list[str]:
    """Return the columns that a source has a use for."""
    declared = [source["key"], source["timestamp"], *source["fields"], *source["context"]]
    return list(dict.fromkeys([name for name in declared if name is not None] + list(_BESIDE)))


def _chosen(there: Sequence[str], source: Mapping[str, Any]) -> list[str] | None:
    """Return those of the columns that a source has a use for; None where one that it needs is missing.

    The engine tells what is missing, and what is there: it is given all the columns then, and no row.
    """
    needed = (source["key"] or _KEY, source["timestamp"] or _TIMESTAMP, *source["fields"], *source["context"])
    return [name for name in wanted(source) if name in there] if set(needed) <= set(there) else None


def _is_frame(given: object) -> bool:
    # Their Series speak Arrow too.
    rows = {"pandas": "columns", "polars": "columns", "pyarrow": "schema"}.get(_library(given))
    return hasattr(given, "__arrow_c_stream__") and (rows is None or hasattr(given, rows))


def converter(like: object) -> Callable[[Any], Any]:
    """Return what makes frames of the library that `like` is of; of pyarrow or polars for others."""
    library = _library(like)
    if library == "pandas":
        return lambda table: import_module("pyarrow").table(table).to_pandas()
    if library == "polars" or (library != "pyarrow" and not _installed("pyarrow")):
        return lambda table: _require("polars", "the result").DataFrame(table)
    return lambda table: _require("pyarrow", "the result").table(table)


def writable(path: Path) -> None:
    """Check that a file of this kind can be written.

    Raises:
        ConfigError: It is neither Parquet nor CSV, or its directory does not exist.
    """
    if path.suffix.lower() not in _FILES:
        raise _check.refusal(
            "output", str(path), "is of no kind that is written", "name a .parquet or .csv file"
        )
    if not path.parent.is_dir():
        raise _check.refusal("output", str(path), "is in a directory that does not exist", "make it first")


def write(frame: Any, path: Path) -> None:
    """Write a frame of polars or pyarrow to a Parquet or CSV file.

    Raises:
        ConfigError: A column has lists, which CSV has not.
        MillstreamError: The file cannot be written.
    """
    table = path.suffix.lower() == ".parquet"
    if _library(frame) == "polars":
        flat = not any(kind.is_nested() for kind in frame.dtypes)
    else:
        flat = not any(str(field.type).startswith("large_list") for field in frame.schema)
    if not table and not flat:
        raise _check.refusal("output", str(path), "cannot hold lists", "name a .parquet file")
    try:
        if _library(frame) == "polars":
            (frame.write_parquet if table else frame.write_csv)(path)
        elif table:
            import_module("pyarrow.parquet").write_table(frame, path)
        else:
            import_module("pyarrow.csv").write_csv(frame, path)
    except OSError as error:
        raise MillstreamError(f"{str(path)!r} cannot be written: {error.strerror or error}") from None


def _file(setting: str, path: Path, source: Mapping[str, Any]) -> Any:
    kind = path.suffix.lower()
    if kind not in _FILES:
        fix = "give the path of a .parquet or .csv file"
        raise _check.refusal(setting, str(path), "is of no kind that is read", fix)
    if not path.exists():
        raise _check.refusal(setting, str(path), "does not exist", "check the path")
    if not _installed("polars"):
        _require("pyarrow", f"a {kind} file", beside="polars")
    try:
        return _read(kind, path, source)
    except Exception as error:
        said = " ".join(str(error).split())
        raise _check.refusal(setting, str(path), f"cannot be read: {said}", "mend the file") from error


def _read(kind: str, path: Path, source: Mapping[str, Any]) -> Any:
    key = source["key"] or _KEY
    if _installed("polars"):
        polars = import_module("polars")
        if kind == ".parquet":
            lazy = polars.scan_parquet(path)
        else:
            # Digits of a key in a text file are text: 007 is not 7.
            lazy = polars.scan_csv(path, schema_overrides={key: polars.String}, infer_schema_length=10_000)
        names = _chosen(lazy.collect_schema().names(), source)
        return (lazy.head(0) if names is None else lazy.select(names)).collect()
    if kind == ".parquet":
        parquet = import_module("pyarrow.parquet")
        schema = parquet.read_schema(path)
        names = _chosen(schema.names, source)
        return schema.empty_table() if names is None else parquet.read_table(path, columns=names)
    csv, text = import_module("pyarrow.csv"), import_module("pyarrow").string()
    return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types={key: text}))


def _library(given: object) -> str:
    return type(given).__module__.partition(".")[0]


def _require(name: str, what: str, *, beside: str | None = None) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        names = name if beside is None else f"{beside} or {name}"
        problem = f"{what} needs {names}, which is not installed: pip install 'millstream[{beside or name}]'"
        raise ModuleNotFoundError(problem, name=name) from error


def _installed(name: str) -> bool:
    return find_spec(name) is not None
