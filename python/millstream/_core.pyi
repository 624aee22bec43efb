"""The compiled engine: what the Python layer hands over to, and the classes it gives back.

Only `Event`, `EventBatch`, `Window`, `WindowBatch` and `__version__` are public, by their names in
`millstream`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Protocol, Self, TypeAlias, final, overload, type_check_only

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "ArrowTable",
    "Consumer",
    "DeadLetterTopic",
    "EmbeddedBroker",
    "Engine",
    "Event",
    "EventBatch",
    "Producer",
    "Window",
    "WindowBatch",
    "__version__",
    "check",
    "features",
    "lag",
    "reset",
    "reset_moves",
    "unpack_batch",
    "unpack_events",
]

__version__: str

_Stat: TypeAlias = Literal[
    "count", "mean", "std", "min", "max", "first", "last", "slope", "energy", "missing"
]
_Layout: TypeAlias = Literal["ntf", "nft"]
# float64, or float32 where the topic or a call says so
_Floats: TypeAlias = NDArray[Any]
_Headers: TypeAlias = list[tuple[str, bytes]]
# ("record", partition, key, value, timestamp in ms, headers) or ("advance", ms)
_Item: TypeAlias = tuple[str, int, bytes | None, bytes | None, int | None, _Headers] | tuple[str, int]
# (partition, offset, key, value, timestamp in ms, headers)
_OutRecord: TypeAlias = tuple[int, int, bytes | None, bytes | None, int, _Headers]
# (topic, partition or None for what the key decides, key, value, timestamp in ms, headers)
_Answer: TypeAlias = tuple[str, int | None, bytes | None, bytes | None, int, _Headers]
# ("result", record, None, None), ("silent", None, None, None) or ("failed", None, error, traceback)
_RetryOutcome: TypeAlias = tuple[str, _Answer | None, str | None, str | None]
# (topic, partition, oldest offset, end of the log, committed offset, start of a replay, clock in ms)
_Lag: TypeAlias = tuple[str, int, int, int, int | None, int | None, int | None]
# (topic, partition, where the group stands, where it will, oldest offset, end of the log)
_Move: TypeAlias = tuple[str, int, int | None, int, int, int]

@type_check_only
class ModelHooks(Protocol):
    """What the engine needs of a model, on the thread that called `run()` or `test()`."""

    def start(self) -> None:
        """Start what is needed beside this process, before there is any client of a cluster."""

    def open(self) -> Sequence[Callable[..., Any]]:
        """Load the model; return what each worker calls."""

    def cancel(self) -> None:
        """Give up the calls that are awaited; nothing that they would return counts any more."""

    def close(self) -> None:
        """Let go of the model, after all workers have ended; also where `open()` raised."""

@final
class Engine:
    """One app made ready to run: a checked plan and the hooks of its models.

    Making one touches no network, thread or file.

    Args:
        plan: The plan as JSON text.
        models: The hooks of each model, in the order of the plan.

    Raises:
        ConfigError: The plan, or a combination of its settings, is wrong.
    """

    def __new__(cls, plan: str, models: list[ModelHooks]) -> Self: ...
    def run(self, *, until_end: bool, drain: bool, adopt: bool, tick: Callable[[], None] | None) -> None:
        """Run; blocks without holding the interpreter.

        At least every 100 ms it hands log lines to `logging` (`millstream.*`), runs pending signal handlers
        and calls `tick`. An exception from either, or from a model, ends the run and is raised as it is.

        Args:
            until_end: Return at the ends that the sources had at the start.
            drain: Then emit the open windows too.
            adopt: Take a changed app on where its group stands.
            tick: Called on this thread, also while nothing happens.

        Raises:
            ConfigError: A setting does not fit the cluster; nothing was consumed.
            StateLimitError: Open windows hold more than a limit allows.
            MillstreamError: The run cannot go on.
        """

    def stop(self) -> None:
        """Finish running calls, commit once, and let `run()` return. From any thread, also before `run()`."""

    def abort(self) -> None:
        """Give up at once: nothing more is committed, and `run()` returns. From any thread."""

    def serve(self, web: str) -> None:
        """Serve a status page during runs that begin from now on.

        Args:
            web: As JSON: `address`, `token` or null, `hosts`, and the `settings` to be shown.

        Raises:
            ConfigError: It is malformed. What is wrong with the address is told by `run()`.
        """

    def web_url(self) -> str | None:
        """Return where the status page of the present run is; None where there is none."""

    def metrics(self) -> dict[str, Any]:
        """Return the counters since the run or test began; from any thread, at any time."""

    def test(self, topics: list[tuple[str, list[_Item]]], drain: bool) -> dict[str, list[_OutRecord]]:
        """Run on given records in memory, with a virtual wall clock, and return the output by topic.

        Raises:
            StateLimitError: Open windows hold more than a limit allows.
            MillstreamError: The run cannot go on.
        """

    def backtest(
        self,
        frames: list[tuple[str, Any]],
        wanted: dict[str, Any],
        tick: Callable[[int, int], None] | None,
    ) -> tuple[list[tuple[str, ArrowTable]], ArrowTable]:
        """Replay frames and return the results by sink, and what has none.

        Args:
            frames: By source topic, what has `__arrow_c_stream__`.
            wanted: `order`, `disorder` (seed, delay in ms, share, late_by in ms), `drain`, `workers`, and in
                `serial` the places of models that are called by one worker at a time.
            tick: Called on this thread with the events that are done, and all of them.

        Raises:
            ConfigError: A column is missing or of the wrong type.
            MillstreamError: The run cannot go on.
        """

@final
class ArrowTable:
    """A table for whatever reads Arrow streams."""

    def __len__(self) -> int: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the table; the requested schema is not looked at."""

@final
class WindowBatch:
    """Windows that go to the model in one call: ragged, contiguous, read-only.

    `len(batch)` is the number of windows n. The events of window i are
    `values[row_splits[i]:row_splits[i + 1]]`, ordered by time and offset. Indexing with an int and iterating
    give a `Window`; indexing with a field's name gives that column of `values`.
    """

    @property
    def keys(self) -> NDArray[np.object_]:
        """Key of each window, (n,): str, or bytes where it is not UTF-8."""

    @property
    def starts(self) -> NDArray[np.int64]:
        """Start of each window, (n,), ms since the epoch, included."""

    @property
    def ends(self) -> NDArray[np.int64]:
        """End of each window, (n,), ms since the epoch, not included."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of events of each window, (n,)."""

    @property
    def partitions(self) -> NDArray[np.int32]:
        """Source partition of each window, (n,)."""

    @property
    def values(self) -> _Floats:
        """All events, (events, fields), window after window, in the `dtype` of the topic."""

    @property
    def row_splits(self) -> NDArray[np.int64]:
        """Where each window begins in `values`, and the end of the last one, (n + 1,)."""

    @property
    def timestamps(self) -> NDArray[np.int64]:
        """Event times, (events,), ms since the epoch.

        Raises:
            AttributeError: The model was declared with `timestamps=False`.
        """

    @property
    def names(self) -> tuple[str, ...]:
        """The declared fields, in the order of the columns of `values`."""

    @property
    def context(self) -> Mapping[str, NDArray[np.object_]]:
        """By context field of the topic an object array (n,): the last value in each window.

        str, int, float or bool; None where no event has one, which `missing="nan"` allows.
        """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Window]: ...
    @overload
    def __getitem__(self, key: int, /) -> Window: ...
    @overload
    def __getitem__(self, key: str, /) -> _Floats: ...
    def pad(
        self,
        length: int | None = None,
        *,
        side: Literal["left", "right"] = "left",
        value: float = ...,
        layout: _Layout = "ntf",
        dtype: DTypeLike | None = None,
    ) -> tuple[_Floats, NDArray[np.bool_]]:
        """Return the windows as one dense array, and which of its places hold an event.

        With `pad_batch_to` on the model n is that number here and in the other dense arrays: the last window
        is repeated.

        Args:
            length: Places per window, 1 or more; None: as many as the longest one has. Of longer windows the
                latest events are taken.
            side: Where the places without an event are.
            value: What stands there; NaN.
            layout: `"ntf"`, or `"nft"` for channels first, as sktime, aeon and Conv1d want it.
            dtype: float32 or float64; None: that of the topic.

        Returns:
            X, (n, length, fields) or (n, fields, length), and mask, bool (n, length).

        Raises:
            ValueError: `length` is less than 1, or a word is not one of those above.
            MemoryError: There is not enough for the array.
        """

    def last(
        self,
        n: int,
        *,
        side: Literal["left", "right"] = "left",
        value: float = ...,
        layout: _Layout = "ntf",
        dtype: DTypeLike | None = None,
    ) -> _Floats:
        """Return the latest `n` events of each window, (windows, n, fields): `pad(n)` without its mask.

        Args:
            n: Events per window, 1 or more.
            side: Where the places without an event are.
            value: What stands there; NaN.
            layout: `"ntf"`, or `"nft"` for (windows, fields, n).
            dtype: float32 or float64; None: that of the topic.

        Raises:
            ValueError: `n` is less than 1, or a word is not one of those above.
            MemoryError: There is not enough for the array.
        """

    def resample(
        self,
        n: int | None = None,
        *,
        every: str | timedelta | None = None,
        how: Literal["linear", "previous", "mean"] = "linear",
        layout: _Layout = "ntf",
        dtype: DTypeLike | None = None,
    ) -> _Floats:
        """Return values at evenly spaced times of each window, the first at its start. NaN is left out.

        Args:
            n: How many times, `size / n` apart.
            every: Or the time between them, `"20ms"`; there are ceil(size / every) of them.
            how: `"linear"`: on the line between the neighbours, as `numpy.interp`: the first and the last
                value hold beyond them. `"previous"`: the latest value at or before, NaN where there is none.
                `"mean"`: the mean of the values from a time until before the next, NaN where there is none.
            layout: `"ntf"`, or `"nft"` for (windows, fields, n).
            dtype: float32 or float64; None: that of the topic.

        Returns:
            (windows, n, fields); all NaN where a field has no value in a window.

        Raises:
            AttributeError: The model was declared with `timestamps=False`.
            ConfigError: `every` is no duration.
            TypeError: Both or neither of `n` and `every` are given.
            ValueError: `n` is less than 1, or a word is not one of those above.
            MemoryError: There is not enough for the array.
        """

    def summary(self, stats: list[_Stat] | None = None, *, dtype: DTypeLike | None = None) -> _Floats:
        """Return statistics of each window, (windows, fields * stats): all of the first field, and so on.

        `count`, `mean`, `std` (of a population), `min`, `max`, `first`, `last`, `slope` (of the least-squares
        line, per second), `energy` (sum of squares), `missing` (share of events). All but `missing` are of
        what is not NaN; without any, `count` and `energy` are 0 and the others NaN.

        Args:
            stats: Which, in this order; None: all, in the order above.
            dtype: float32 or float64; None: that of the topic.

        Raises:
            AttributeError: `slope` of a model that was declared with `timestamps=False`.
            ValueError: There is no such statistic.
            MemoryError: There is not enough for the array.
        """

    def summary_names(self, stats: list[_Stat] | None = None) -> tuple[str, ...]:
        """Return the names of the columns of `summary(stats)`: `"ax_mean"`, `"ax_std"`, ..."""

    def to_arrow(self, *, long: bool = True) -> Any:
        """Return a `pyarrow.Table`; see `to_pandas`.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """

    def to_pandas(self, *, long: bool = True) -> Any:
        """Return a `pandas.DataFrame`, a copy.

        A column of ours whose name a field or a context field has gets a `_` at its end.

        Args:
            long: True: a row per event, with `window` (its place in the batch), `key`, `start`, `end`,
                `partition`, `timestamp`, context, fields. False: a row per window, with `key`, `start`,
                `end`, `partition`, `n_events`, context, and lists in `timestamp` and fields. Times are
                datetimes of UTC in ms; with `timestamps=False` there is no `timestamp`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """

    def to_polars(self, *, long: bool = True) -> Any:
        """Return a `polars.DataFrame`; see `to_pandas`.

        Raises:
            ModuleNotFoundError: polars is not installed.
        """

    def __arrow_c_stream__(self, requested_schema: object = None, *, long: bool = True) -> object:
        """Return the table of `to_arrow` for whatever reads the Arrow PyCapsule interface.

        Args:
            requested_schema: Not looked at; readers cast for themselves.
            long: As in `to_pandas`.
        """

    def plot(self, *, windows: int = 6) -> Any:
        """Draw the fields of the first windows over time, one below the other.

        Args:
            windows: Most windows that are drawn, 1 or more.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ModuleNotFoundError: matplotlib is not installed: `pip install 'millstream[plot]'`.
            ValueError: There is no window to draw.
        """

    def _repr_html_(self) -> str: ...
    @staticmethod
    def synthetic(
        names: list[str],
        windows: int,
        events: int,
        timestamps: bool,
        *,
        dtype: str = "float64",
        context: list[str] = ...,
        pad_batch_to: int | None = None,
    ) -> WindowBatch:
        """Return a made-up batch to warm a model up with.

        Args:
            names: The fields.
            windows: How many windows.
            events: How many events each of them has, one per second.
            timestamps: Whether the batch has event times.
            dtype: `"float64"` or `"float32"`.
            context: The context fields; their values are `"warmup"`.
            pad_batch_to: Windows of its dense arrays.
        """

@final
class Window:
    """One window of a batch. `len(window)` is its number of events, `window["ax"]` a column of `values`."""

    @property
    def key(self) -> str | bytes:
        """The key; bytes where it is not UTF-8."""

    @property
    def start(self) -> int:
        """Start, ms since the epoch, included."""

    @property
    def end(self) -> int:
        """End, ms since the epoch, not included."""

    @property
    def partition(self) -> int:
        """Source partition."""

    @property
    def values(self) -> _Floats:
        """Events by time and offset, (events, fields); read-only."""

    @property
    def timestamps(self) -> NDArray[np.int64]:
        """Event times, (events,), ms since the epoch; read-only.

        Raises:
            AttributeError: The model was declared with `timestamps=False`.
        """

    @property
    def context(self) -> dict[str, str | int | float | bool | None]:
        """The last value of each context field of the topic."""

    @property
    def names(self) -> tuple[str, ...]:
        """The declared fields, in the order of the columns of `values`."""

    def __len__(self) -> int: ...
    def __getitem__(self, name: str, /) -> _Floats: ...
    def plot(self, *, ax: Any | None = None) -> Any:
        """Draw the fields of the window over time.

        Args:
            ax: The `matplotlib.axes.Axes` to draw on; None: those of a new figure.

        Returns:
            The axes.

        Raises:
            ModuleNotFoundError: matplotlib is not installed: `pip install 'millstream[plot]'`.
        """

    def _repr_html_(self) -> str: ...

@final
class EventBatch:
    """Events that go to the model of `@app.batch` in one call, one row each; read-only.

    `len(batch)` is the number of events n; those of a partition are in offset order. Indexing with an int and
    iterating give an `Event`; indexing with a field's name gives that column of `values`.
    """

    @property
    def keys(self) -> NDArray[np.object_]:
        """Key of each event, (n,): str, or bytes where it is not UTF-8."""

    @property
    def timestamps(self) -> NDArray[np.int64]:
        """Event times, (n,), ms since the epoch."""

    @property
    def partitions(self) -> NDArray[np.int32]:
        """Source partition of each event, (n,)."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Offset of each event in its partition, (n,)."""

    @property
    def values(self) -> _Floats:
        """The fields of each event, (n, fields), in the `dtype` of the topic."""

    @property
    def names(self) -> tuple[str, ...]:
        """The declared fields, in the order of the columns of `values`."""

    @property
    def context(self) -> Mapping[str, NDArray[np.object_]]:
        """By context field of the topic an object array (n,): str, int, float or bool.

        None where an event has none, which `missing="nan"` allows.
        """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Event]: ...
    @overload
    def __getitem__(self, key: int, /) -> Event: ...
    @overload
    def __getitem__(self, key: str, /) -> _Floats: ...
    @staticmethod
    def synthetic(
        names: list[str], events: int, *, dtype: str = "float64", context: list[str] = ...
    ) -> EventBatch:
        """Return a made-up batch to warm a model up with.

        Args:
            names: The fields.
            events: How many events, one per second.
            dtype: `"float64"` or `"float32"`.
            context: The context fields; their values are `"warmup"`.
        """

@final
class Event:
    """One event of a batch: `event["ax"]` is a value, `values` its row."""

    @property
    def key(self) -> str | bytes:
        """The key; bytes where it is not UTF-8."""

    @property
    def timestamp(self) -> int:
        """Event time, ms since the epoch."""

    @property
    def partition(self) -> int:
        """Source partition."""

    @property
    def offset(self) -> int:
        """Offset in its partition."""

    @property
    def values(self) -> _Floats:
        """The declared fields, (fields,); read-only."""

    @property
    def names(self) -> tuple[str, ...]:
        """The declared fields, in the order of `values`."""

    @property
    def context(self) -> dict[str, str | int | float | bool | None]:
        """The value of each context field of the topic."""

    def __getitem__(self, name: str, /) -> np.floating[Any]: ...

@final
class EmbeddedBroker:
    """librdkafka's mock cluster inside this process, on the loopback interface; one per process.

    It keeps everything in memory and has no transactions.
    """

    @staticmethod
    def get() -> EmbeddedBroker:
        """Return the broker of this process, started on first use."""

    @property
    def brokers(self) -> str:
        """Where it listens: `"127.0.0.1:port"`, several joined by commas."""

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic of 1 to 10,000 partitions; where it exists nothing happens.

        Raises:
            ConfigError: The name or the number is none that a topic can have.
        """

@final
class Producer:
    """A small producer, for demos, examples and tests.

    Args:
        brokers: `"host:port"`, several joined by commas.

    Raises:
        KafkaError: It could not be made.
    """

    def __new__(cls, brokers: str) -> Self: ...
    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        timestamp: int | None = None,
        partition: int | None = None,
    ) -> None:
        """Queue a record.

        Args:
            topic: Where to.
            value: None is a record without a value.
            key: None is a record without a key.
            timestamp: Milliseconds since the epoch; None is now.
            partition: None lets the key decide.

        Raises:
            KafkaError: It was refused.
        """

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until every record is written.

        Args:
            timeout: Seconds.

        Raises:
            KafkaError: One was not written, or not in time.
        """

    def close(self) -> None:
        """Let go of the connection; records not flushed may be lost."""

@final
class Consumer:
    """A small reader without a group: all partitions from the beginning, committed records only.

    Args:
        brokers: `"host:port"`, several joined by commas.
        topic: What to read.

    Raises:
        KafkaError: It could not be made.
    """

    def __new__(cls, brokers: str, topic: str) -> Self: ...
    def poll(self, timeout: float = 0.1) -> list[_OutRecord]:
        """Return what has come, perhaps nothing.

        Args:
            timeout: Seconds to wait for the first record.

        Raises:
            KafkaError: Reading failed.
        """

    def close(self) -> None:
        """Let go of the connection."""

@final
class DeadLetterTopic:
    """The dead-letter topic of an app as it was when it was opened, and what is written in answer to it."""

    @staticmethod
    def open(plan: str, purpose: str | None, write: bool) -> DeadLetterTopic | None:
        """Open it; None where there is no such topic.

        Args:
            plan: The plan as JSON text.
            purpose: Names the position: that of the group `{group}.{purpose}`. None: it is only read.
            write: Whether there will be answers. Another one that is open for the same purpose is fenced.

        Raises:
            ConfigError: The app is on the embedded broker, or a setting does not fit the cluster.
            KafkaError: The cluster cannot be asked, or a right is missing.
        """

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The oldest offset of each partition, and the one after the newest."""

    @property
    def positions(self) -> list[tuple[int, str] | None]:
        """How far each partition is answered, with the note of it; None: not at all."""

    @property
    def transactional(self) -> bool:
        """Whether answers and position are written in one transaction."""

    def begin(self, offsets: list[int]) -> None:
        """Begin to read, at an offset of each partition."""

    def read(self) -> list[_OutRecord]:
        """Return the next piece, each partition in order; nothing where all has been read.

        Raises:
            KafkaError: Reading failed.
        """

    def write(self, answers: list[_Answer], positions: list[tuple[int, int, str]]) -> None:
        """Write answers, and for partitions how far that is: offset and note.

        Raises:
            KafkaError: One was refused; in a transaction none is written then.
            FencedError: The same has been opened elsewhere.
        """

    def retry(
        self, model: int, calls: list[Callable[[WindowBatch], Any]], letters: list[tuple[bytes, bytes]]
    ) -> list[_RetryOutcome]:
        """Call a model with the windows of dead letters, and return what came of each.

        Args:
            model: Its place in the plan.
            calls: What its hooks have opened.
            letters: Key and value of each dead letter.

        Raises:
            ModelError: The model is at fault, and not a window.
            Exception: What the model raised, where it is meant for the caller.
        """

def features() -> dict[str, bool]:
    """Return what this build can do: `"tls"` is True where it can connect with TLS and SASL."""

def unpack_batch(
    packed: NDArray[np.uint8], names: list[str], context: list[str], pad_batch_to: int | None
) -> WindowBatch:
    """Return the batch that another process wrote to shared memory, on arrays of its own.

    Args:
        packed: The bytes of the batch, contiguous.
        names: The fields of the model.
        context: Its context fields.
        pad_batch_to: Windows that its dense arrays have at the least.

    Raises:
        ValueError: That is no batch.
    """

def unpack_events(packed: NDArray[np.uint8], names: list[str], context: list[str]) -> EventBatch:
    """Return the batch of single events that another process wrote to shared memory; see `unpack_batch`.

    Raises:
        ValueError: That is no batch.
    """

def check(plan: str) -> list[tuple[str, str, str, str]]:
    """Check a plan against its cluster, consuming and committing nothing.

    Args:
        plan: The plan as JSON text.

    Returns:
        Level (`"ok"`, `"warning"`, `"error"`), check, subject and text of each finding.
    """

def lag(plan: str) -> list[_Lag]:
    """Return where the group of an app stands on each partition of its sources.

    Args:
        plan: The plan as JSON text.

    Raises:
        ConfigError: There is no such source, or the app is on the embedded broker.
        KafkaError: The cluster cannot be asked.
    """

def reset_moves(plan: str, kind: str, value: int, topic: str | None, partition: int | None) -> list[_Move]:
    """Return what a reset of the group would do.

    Args:
        plan: The plan as JSON text.
        kind: `"earliest"`, `"latest"`, `"offset"` or `"time"`.
        value: The offset, or the time in ms since the epoch.
        topic: Only this source; None is all of them.
        partition: Only this partition; None is all of them.

    Raises:
        ConfigError: The offset is not in the log, or the app has no such source or partition.
        KafkaError: The group has members, or the cluster cannot be asked.
    """

def reset(plan: str, kind: str, moves: list[_Move]) -> None:
    """Set the position of a group without members as `reset_moves` has said.

    Raises:
        KafkaError: The group has members, or the cluster refused it.
    """
