"""App: models on windows of Kafka topics, and the ways to run them."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

from millstream import (
    _backtest,
    _check,
    _core,
    _events,
    _html,
    _model,
    _params,
    _plan,
    _pool,
    _registry,
    _settings,
    _testing,
    _web,
)
from millstream._adapted import Features, Method, adapt
from millstream._background import Background
from millstream._core import Engine
from millstream._disorder import Disorder
from millstream._durations import Duration, duration_ms
from millstream._options import ModelOptions
from millstream._pool import inside
from millstream._records import Advance, Record
from millstream._signals import stop_on_signals
from millstream._topic import Topic
from millstream._windows import HoppingWindow
from millstream.errors import MillstreamError

M = TypeVar("M", bound=Callable[..., Any])


class App:
    """Runs Python models on every window of Kafka topics. Making one touches no network, thread or file.

    The environment goes before the code: `MILLSTREAM_BROKERS`, `MILLSTREAM_GROUP_ID`, the limits of state
    (`MILLSTREAM_MAX_STATE_BYTES`, `MILLSTREAM_MAX_KEYS`, `MILLSTREAM_MAX_EVENTS_PER_KEY`), and
    `MILLSTREAM_KAFKA__SASL_PASSWORD` for `kafka={"sasl.password": ...}`, other librdkafka settings alike.

    Args:
        name: Of the app; group and topics derive from it.
        brokers: `"host:port"`, several joined by commas, or `"embedded"` for a broker inside this process,
            which keeps nothing and has no transactions.
        guarantee: `"exactly_once"` or `"at_least_once"`. None: the first, on `"embedded"` the second.
        group_id: Consumer group; None: the name.
        kafka: librdkafka settings, passed on as they are; the few that Millstream owns are refused by name.
        lanes: Group members in this process, each a consumer and a producer; 1 to 64.
        epoch: How often results are committed; sooner where they are a quarter of `max_inflight_bytes`, or
            a second of work for the models (four calls where those take longer).
            `"auto"`: every 10 ms as long as reading and commits keep up with that, else every 100 ms.
        start: Where a group that has never committed begins, `"earliest"` or `"latest"`.
        create_topics: Make sinks, the dead-letter and the late topic where they are missing.
        dead_letter_topic: Takes the records that cannot be used; None: `{name}.dead-letter`.
        late_topic: Takes late events of models with `late="topic"`; None: `{name}.late`.
        drain_timeout: How long a stop waits for the model calls that are running.
        max_inflight_bytes: Windows that wait for a model or a commit, together; above it reading pauses.
        max_state_bytes: Memory of the events and keys that this process holds for windows, such as `"1GiB"`
            or a number of bytes. From 80 % of a limit a warning says so, at most once a minute; beyond it
            the run ends with StateLimitError. Nothing is ever dropped. None is no limit.
        max_keys: Keys with an event in an open window in this process; one in two partitions counts twice.
            None is no limit.
        max_events_per_key: Events of one key in one partition that open windows need. None is no limit.
        web: Where a run serves its status page and metrics, such as `"127.0.0.1:6066"`; `MILLSTREAM_WEB` goes
            before it, and `"off"` there is none. None is none; `millstream run` serves one in any case. Where
            the port is taken, one of the next nine. An address that other machines can reach needs
            `MILLSTREAM_WEB_TOKEN`.

    Raises:
        ConfigError: An argument is of a wrong type or value.
    """

    def __init__(
        self,
        name: str,
        *,
        brokers: str = "localhost:9092",
        guarantee: Literal["exactly_once", "at_least_once"] | None = None,
        group_id: str | None = None,
        kafka: Mapping[str, str | int | float | bool] | None = None,
        lanes: int = 1,
        epoch: Duration = "100ms",
        start: Literal["earliest", "latest"] = "earliest",
        create_topics: bool = True,
        dead_letter_topic: str | None = None,
        late_topic: str | None = None,
        drain_timeout: Duration = "20s",
        max_inflight_bytes: str | int = "256MiB",
        max_state_bytes: str | int | None = None,
        max_keys: int | None = None,
        max_events_per_key: int | None = None,
        web: str | None = None,
    ) -> None:
        self._settings = _settings.resolve(
            name,
            brokers=brokers,
            guarantee=guarantee,
            group_id=group_id,
            kafka=kafka,
            lanes=lanes,
            epoch=epoch,
            start=start,
            create_topics=create_topics,
            dead_letter_topic=dead_letter_topic,
            late_topic=late_topic,
            drain_timeout=drain_timeout,
            max_inflight_bytes=max_inflight_bytes,
            max_state_bytes=max_state_bytes,
            max_keys=max_keys,
            max_events_per_key=max_events_per_key,
            environment=os.environ,
        )
        self._web = _web.resolve(f"App({name!r}) web", web, os.environ)
        self._models: list[_model.ModelSpec] = []
        self._engine: Engine | None = None
        self._busy = threading.Lock()
        self._background: Background | None = None

    def __repr__(self) -> str:
        said = self._settings
        return (
            f"App({said.name!r}, brokers={said.brokers!r}, guarantee={said.guarantee!r}, "
            f"group_id={said.group_id!r}, kafka={said.safe_kafka()!r})"
        )

    def model(
        self,
        source: Topic,
        *,
        window: HoppingWindow,
        sink: str,
        max_batch: int = 256,
        max_batch_events: int | None = None,
        length_buckets: Sequence[int] | Literal["exact"] | None = None,
        target: Duration | None = None,
        workers: int = 1,
        per_worker: bool = False,
        pool: Literal["threads", "processes"] = "threads",
        late: Literal["drop", "topic"] = "drop",
        on_error: Literal["dead_letter", "fail", "skip"] = "dead_letter",
        retries: int = 0,
        timeout: Duration | None = None,
        load_timeout: Duration | None = None,
        outputs: Sequence[str] | None = None,
        timestamps: bool = True,
        pad_batch_to: int | None = None,
        batch: bool = True,
        name: str | None = None,
        version: str | None = None,
    ) -> Callable[[M], M]:
        """Register a model: a function `predict(batch)`, or a class with a method of that name.

        `predict` gets a WindowBatch of n windows and returns n rows: a list or 1-D array, which becomes the
        field `prediction`; a dict of those, or a frame of pandas, polars or pyarrow, one field each; a list
        of dicts; or, with `outputs`, an array (n, len(outputs)). A row of a list that is None emits nothing
        and is counted in `windows_silent`. A class may also have `load(self)` or `load(self, params)`,
        `warmup(self, batch)`, which gets a synthetic batch, and `close(self)`. Any of them may be async:
        each worker has an event loop, on which a call is awaited to its end.

        Args:
            source: Where the events come from.
            window: A HoppingWindow or TumblingWindow.
            sink: Topic of the results. It may be the source of another model.
            max_batch: Most windows in one call. How many it is to be is found from what calls take:
                as many as give the most windows per second.
            max_batch_events: Most events in one call, but for a single window with more; None: any number.
            length_buckets: For models that pad, or that want windows of one length: which windows may share a
                call. Rising numbers of events, such as `(64, 128, 256)`, are upper bounds of buckets, each
                included in its own; a last bucket takes what is longer. `"exact"`: windows of exactly one
                length. A call has windows of one bucket only, and its size is found for each bucket. With
                bounds `warmup` is called once for each, with windows of that many events. None: windows of
                all lengths share a call.
            target: How long one call should take, as far as the model can keep up with it; None: any time.
            workers: Threads or processes that call `predict`, at the same time where it is more than one.
            per_worker: Make and load an instance for each worker, not one for all of them.
            pool: `"threads"` of this process, which share an instance; `"processes"`, started anew, each with
                its own instance of a model that can be imported by name: for models that hold the
                interpreter lock (GIL), or that may crash or hang. One that ends is replaced.
            late: What happens to events too late for a window: `"drop"` counts them, `"topic"` also sends
                them to the late topic.
            on_error: What happens to a window that the model fails on; the others of its batch get their
                results. `"dead_letter"` sends it to the dead-letter topic, with its values and the
                exception; `"skip"` counts it. `"fail"` ends the run with the exception. Three batches in a
                row without a single success, of 32 windows or more in all, end the run with ModelError in
                any case, and are not committed.
            retries: How often a call that raised is made again before its batch is searched for the window
                to blame; after 100 ms, then twice as long each time, up to 10 s.
            timeout: How long one call may take; None: as long as it likes. A process is ended and replaced,
                and its batch searched for the window to blame. A thread cannot be ended, so the run is, with
                a ModelError that names the windows; a window that has ended the run three times is not
                tried again; not applied to threads by `App.test`.
            load_timeout: How long `load` and `warmup` may take, each; None: as long as they like, with a
                warning every 30 s. Beyond it ModelError is raised before anything is consumed. With it they
                run on a thread of their own, which is left behind then.
            outputs: Names of the fields of a result: of the columns of a 2-D array, of the values in each row
                of a list, in this order, or of the one field of a 1-D array. Of a dict or a frame exactly
                these are expected.
            timestamps: False: `batch.timestamps` is not gathered, and reading it is an error.
            pad_batch_to: For models with a fixed batch dimension: the dense arrays of a batch (`pad`, `last`,
                `resample`, `summary`) have this many windows, the last one repeated, and rows of the result
                beyond `len(batch)` are cut off. A call then has no more windows than this.
            batch: False: `predict(window)` is called for one Window at a time, and returns its value, a
                dict, or None, which emits nothing; async, for up to 64 windows side by side. `warmup` gets a
                Window, too.
            name: In metrics, headers and commits; None: the name of the class or function.
            version: Goes into the header `model-version` of each result.

        Returns:
            A decorator that gives back what it decorates, unchanged.

        Raises:
            ConfigError: An argument is of a wrong type or value, or the name is taken. A function or class
                that is defined again, as by running a cell again, takes the place of its earlier definition,
                but not while the app runs.
        """

        def register(model: M) -> M:
            spec = _model.declare(
                model,
                source=source,
                window=window,
                sink=sink,
                max_batch=max_batch,
                max_batch_events=max_batch_events,
                length_buckets=length_buckets,
                target=target,
                workers=workers,
                per_worker=per_worker,
                pool=pool,
                late=late,
                on_error=on_error,
                retries=retries,
                timeout=timeout,
                load_timeout=load_timeout,
                outputs=outputs,
                timestamps=timestamps,
                pad_batch_to=pad_batch_to,
                batch=batch,
                name=name,
                version=version,
            )
            self._take("@app.model", spec)
            return model

        return register

    def add_model(
        self,
        model: Any,
        *,
        source: Topic,
        window: HoppingWindow,
        sink: str,
        features: Features | None = None,
        method: Method = "predict",
        **options: Unpack[ModelOptions],
    ) -> None:
        """Register a model that is there already: a fitted estimator, an ONNX file, or what `model` takes.

        An estimator is anything with a method `predict`, such as those of scikit-learn, LightGBM and XGBoost.
        One of scikit-learn that is not fitted is refused when it is loaded. An ONNX file needs the extra
        `onnx`, and has one input; its array is cast to that one's type. Where the model has a fixed batch
        dimension, the array is passed in parts of that many rows, the last row repeated in the last one.

        Args:
            model: The estimator, the path of a file that ends in `.onnx`, or a function or class.
            source: Where the events come from.
            window: A HoppingWindow or TumblingWindow.
            sink: Topic of the results.
            features: Makes the model's input of a WindowBatch of n windows: for an estimator a 2-D array, or
                a frame, of n rows; for an ONNX file an array of n rows in the shape of its input. Needed for
                both, not for functions and classes.
            method: Of the estimator. `"predict"`: its values are the field `prediction`.
                `"predict_proba"`: the fields `label`, the likeliest of `classes_`, and `score`, its
                probability. `"decision_function"`: `score`, the largest one, and `label` where there are
                `classes_`. With `outputs` the columns of what it returns are those fields instead.
            **options: Those of `model`, which says what they mean. `outputs` of an ONNX file: names for its
                outputs, in their order, or for the columns of its only one; None: those that it has.
                `name` is the name of the estimator's class or the stem of the file where it is not given.
                With `pool="processes"` the estimator is pickled, and `features` is imported by its name.

        Raises:
            ConfigError: An argument is of a wrong type or value, or the name is taken. An estimator of the
                same class, or the same file, from the same source to the same sink takes the place of its
                earlier one, as by running a cell again, but not while the app runs.
        """
        self.model(source, window=window, sink=sink, **options)(adapt(model, features, method))

    def batch(
        self,
        source: Topic,
        *,
        sink: str,
        max_events: int = 1024,
        max_wait: Duration = "50ms",
        target: Duration | None = None,
        workers: int = 1,
        per_worker: bool = False,
        pool: Literal["threads", "processes"] = "threads",
        on_error: Literal["dead_letter", "fail", "skip"] = "dead_letter",
        retries: int = 0,
        timeout: Duration | None = None,
        load_timeout: Duration | None = None,
        outputs: Sequence[str] | None = None,
        name: str | None = None,
        version: str | None = None,
    ) -> Callable[[M], M]:
        """Register a model that scores every event: a function `predict(batch)`, or a class with that method.

        `predict` gets an EventBatch of n events and returns n rows, in any of the forms that `model` takes. A
        result has the key, the partition and the time of its event; those of a partition are in offset order.
        There is no window, so nothing is late and nothing waits for a clock.

        Args:
            source: Where the events come from.
            sink: Topic of the results. It may be the source of another model.
            max_events: Most events in one call. So many that wait make a batch.
            max_wait: How long an event waits for others, at the most, while a worker is free. Whatever is
                there makes a batch then, and where the app's `epoch` ends; `"0ms"`: at once.
            target: How long one call should take, as far as the model can keep up with it: the number of
                events is then found from what calls take. None: as many as there are, up to `max_events`.
            workers: See `model`.
            per_worker: See `model`.
            pool: See `model`.
            on_error: What happens to an event that the model fails on; the others of its batch get their
                results. See `model`.
            retries: See `model`.
            timeout: See `model`.
            load_timeout: See `model`.
            outputs: See `model`.
            name: See `model`.
            version: See `model`.

        Returns:
            A decorator that gives back what it decorates, unchanged.

        Raises:
            ConfigError: An argument is of a wrong type or value, or the name is taken.
        """

        def register(model: M) -> M:
            spec = _events.declare(
                model,
                source=source,
                sink=sink,
                max_events=max_events,
                max_wait=max_wait,
                target=target,
                workers=workers,
                per_worker=per_worker,
                pool=pool,
                on_error=on_error,
                retries=retries,
                timeout=timeout,
                load_timeout=load_timeout,
                outputs=outputs,
                name=name,
                version=version,
            )
            self._take("@app.batch", spec)
            return model

        return register

    def _take(self, decorator: str, spec: _model.ModelSpec) -> None:
        running = self._busy.locked()
        _registry.add(self._models, spec, self._settings.name, decorator=decorator, running=running)

    def run(
        self,
        until: Literal["end"] | None = None,
        *,
        drain: bool = False,
        adopt: bool = False,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """Run until a signal, or until the end of the sources; blocks.

        On the main thread the first SIGINT or SIGTERM lets running calls finish, commits and returns; a
        second one gives up at once. On other threads signals are left alone.

        Args:
            until: `"end"`: return once everything up to the ends that the sources have at the start is
                processed and committed. Open windows stay open for the next run.
            drain: Also emit the windows still open at the end; needs `until="end"`. Events that come for them
                later are late.
            adopt: Take a changed app on where its group stands. Models that have not changed continue; new
                and changed ones begin with the first window that starts after the clock, and windows of
                theirs that were open before are never emitted. Without it a change is refused.
            params: Given to every `load(self, params)` as a dict, by name.

        Raises:
            ConfigError: A setting is wrong; nothing was consumed.
            LostHistoryError: The group's state is not that of this app, or no longer there.
            StateLimitError: Open windows hold more than a limit allows.
            MillstreamError: The run cannot go on, or this app is already running.
            KeyboardInterrupt: A second signal, SIGINT.
            SystemExit: A second signal, SIGTERM; code 143.
            Exception: What a model raised, as it is.
        """
        self._run(until, drain=drain, adopt=adopt, params=params)

    def start(self, *, adopt: bool = False, params: Mapping[str, Any] | None = None) -> None:
        """Run until `stop()` on a thread of its own, and return at once: for notebooks and larger programs.

        Models are loaded there too. An error that ends the run is logged at once (`millstream.run`) and
        raised by `stop()`. Signals are left alone, and a program that ends stops its apps first. `with app:`
        starts it, and stops it at the end of the block.

        Args:
            adopt: See `run`.
            params: As of `run`.

        Raises:
            ConfigError: A setting is wrong, as far as can be said without the cluster.
            MillstreamError: This app is already running.
        """
        _check.flag("App.start() adopt", adopt)
        with ExitStack() as stack:
            engine = stack.enter_context(self._running(_params.check(params, self._models)))
            run = partial(engine.run, until_end=False, drain=False, adopt=adopt, tick=None)
            self._background = Background(self._settings.name, engine, stack.pop_all(), run)

    def stop(self, timeout: Duration | None = None) -> None:
        """End what `start()` began: running calls finish, what is complete is committed; waits for it.

        Without a run this does nothing, so it may be called twice. Ctrl-C while it waits gives the run up.

        Args:
            timeout: After this long the run is given up and nothing more is committed; None: after
                `drain_timeout`.

        Raises:
            ConfigError: `timeout` is no duration.
            MillstreamError: The run cannot go on, or its model is in a call that does not return.
            Exception: What ended the run; once.
        """
        limit = None if timeout is None else duration_ms("App.stop() timeout", timeout) / 1_000
        if self._background is not None:
            self._background.stop(limit)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except Exception as ended:
            if error is None:
                raise
            error.add_note(f"App({self._settings.name!r}) had ended with {type(ended).__name__}: {ended}")

    def _repr_html_(self) -> str:
        return _html.of_app(self._settings, self._models, running=self._busy.locked())

    def test(
        self,
        topics: Mapping[str, Sequence[Record | Advance]],
        *,
        drain: bool = True,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, list[Record]]:
        """Run the same engine on given records, without a broker, and return what it writes.

        The wall clock is virtual: it is raised to each accepted event's time, and Advance moves it on.

        Args:
            topics: What each source holds. Fed in the order of the dict, each list front to back; a topic
                that is also a sink of the app comes after what feeds it.
            drain: Also emit the windows still open at the end.
            params: As of `run`.

        Returns:
            The records of each sink, the dead-letter topic and, where a model uses it, the late topic, by
            partition and offset.

        Raises:
            ConfigError: A setting or a record is wrong.
            StateLimitError: Open windows hold more than a limit allows.
            MillstreamError: The run cannot go on, or this app is already running.
            Exception: What a model raised, as it is.
        """
        _check.flag("App.test() drain", drain)
        plan = self._plan()
        fed = _testing.encode_topics(topics, plan)
        with self._running(_params.check(params, self._models)) as engine:
            out = engine.test(fed, drain)
        return _testing.decode_topics(out, plan)

    def backtest(
        self,
        data: Any,
        *,
        order: Literal["time", "row"] = "time",
        drain: bool = True,
        workers: int | None = None,
        disorder: Disorder | None = None,
        with_dropped: bool = False,
        progress: bool | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the same windows and models on a frame or a file, without a broker, and return a frame.

        A frame has a column per declared field and context field, one for the event time under the name that
        the topic gives it (`timestamp` where it gives none), one for the key (`key`), and may have
        `partition`, `offset` and `timestamp`, that of the record, which the future guard reads. Event times
        are datetimes (without a zone: UTC) or of the topic's unit. Nulls, NaN and infinities are missing
        values: rows are judged as records are. No wall clock is read: the idle rule, limits of state,
        `start` and `timeout` of models do not apply.

        Args:
            data: A frame of pandas, polars, pyarrow or whatever else has `__arrow_c_stream__`; the path of a
                `.parquet` or `.csv` file; or a dict of those by topic, for the sources from outside the app.
            order: `"time"`: by event time, equal ones by offset, so nothing is late. `"row"`: as the rows
                stand, which replays a log: the same windows as live, late events and all.
            drain: Also emit the windows still open at the end.
            workers: Threads; each takes the events of its own keys, and all call `predict` at the same time.
                None: one per core, where a class with `workers=1` that is not `per_worker`, or an object, is
                still called by one at a time. Contents and order of the results do not depend on it.
            disorder: Events arrive out of order: what if they were late? Not with `order="row"`.
            with_dropped: Also return what has no result, and why.
            progress: Show a bar on stderr; None: where that is a terminal.
            params: As of `run`.

        Returns:
            A frame of the kind that was given (of a file: polars, or pyarrow where that is not installed),
            a dict of them by sink where the app has several. A row per result, by (end, key bytes): `key`,
            `start` and `end` in ms since 1970 UTC, `n_events`, `partition`, and a column per field of the
            result; lists of numbers are lists, anything else that is no scalar is JSON text. With
            `with_dropped` a pair of that and a frame of rows that are no events (`reason` as in dead
            letters), events that were late for windows of a model (`"late"`), and windows that the model
            failed on: `reason`, `detail`, `topic`, `row`, `partition`, `offset`, `key`, `model`, `start`,
            `end`, `windows`.

        Raises:
            ConfigError: A setting is wrong, or a column is missing or of the wrong type.
            ModuleNotFoundError: Nothing that reads the file or frame is installed.
            MillstreamError: The run cannot go on, or this app is already running.
            Exception: What a model raised, where its `on_error` is `"fail"`.
        """
        _check.flag("App.backtest() with_dropped", with_dropped)
        plan = self._plan()
        wanted = _backtest.options(order, disorder, drain, workers, self._models)
        fed = _backtest.frames(data, plan)
        given = _params.check(params, self._models)
        models = _backtest.with_workers(self._models, wanted["workers"])
        with _backtest.bar(progress) as tick, self._running(given, models) as engine:
            tables = engine.backtest(list(fed.items()), wanted, tick)
        results, dropped = _backtest.same_kind(tables, fed)
        return (results, dropped) if with_dropped else results

    @property
    def web_url(self) -> str | None:
        """Where the status page of the present run is; None where there is no run, or no page."""
        engine = self._engine
        return None if engine is None else engine.web_url()

    def metrics(self) -> dict[str, Any]:
        """Return the counters of the present or latest run or test; from any thread, at any time.

        For each source and model, `consumed` = `events` (in a window) + `late_events` (late for all windows)
        + `before_start` + the dead letters of the source. For a model of `batch`, where an event counts as a
        window of its own, `consumed` = `scored` + dead letters, of the source and of the model.

        Returns:
            Totals (`consumed`, `dead_letters`, `late_pairs`, `windows` produced, `epochs` committed,
            `rebalances`, `transactions_aborted`, `inflight_bytes`, `state_bytes`, `state_keys`,
            `limit_warnings`, `paused`); by topic in `sources` what was
            consumed, dead letters by reason, and offsets, lag and clock by partition; by name in `models`
            what became of its events and windows, and the calls of `predict`.

        Raises:
            ConfigError: The app cannot run as it is declared.
        """
        engine = self._engine
        return (self._new_engine() if engine is None else engine).metrics()

    def _run(
        self,
        until: Literal["end"] | None,
        *,
        drain: bool,
        adopt: bool = False,
        params: Mapping[str, Any] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> None:
        if until is not None:
            _check.choice("App.run() until", until, ("end",))
        if _check.flag("App.run() drain", drain) and until is None:
            raise _check.refusal(
                "App.run() drain",
                drain,
                "has no end to drain at",
                'write until="end" with it (--until end on the command line)',
            )
        _check.flag("App.run() adopt", adopt)
        given = _params.check(params, self._models)
        with self._running(given) as engine, stop_on_signals(engine):
            engine.run(until_end=until == "end", drain=drain, adopt=adopt, tick=tick)

    def _check(self) -> list[tuple[str, str, str, str]]:
        return _core.check(json.dumps(self._plan()))

    def _reset_moves(
        self, kind: str, value: int, topic: str | None, partition: int | None
    ) -> list[tuple[str, int, int | None, int, int, int]]:
        return _core.reset_moves(json.dumps(self._plan()), kind, value, topic, partition)

    def _reset(self, kind: str, moves: list[tuple[str, int, int | None, int, int, int]]) -> None:
        _core.reset(json.dumps(self._plan()), kind, moves)

    def _plan(self) -> dict[str, Any]:
        return _plan.build(self._settings, self._models)

    def _new_engine(
        self, params: dict[str, Any] | None = None, models: Sequence[_model.ModelSpec] | None = None
    ) -> Engine:
        models = self._models if models is None else models
        plan = _plan.build(self._settings, models)
        return Engine(json.dumps(plan), [_pool.hooks_of(spec, params) for spec in models])

    @contextmanager
    def _running(
        self, params: dict[str, Any] | None = None, models: Sequence[_model.ModelSpec] | None = None
    ) -> Iterator[Engine]:
        if not self._busy.acquire(blocking=False):
            raise MillstreamError(
                f"App({self._settings.name!r}) is already running; stop it, wait for it, or make another App"
            )
        try:
            inside.refuse()
            self._engine = self._new_engine(params, models)
            if self._web is not None:
                self._engine.serve(self._web.to_json(self._settings))
            yield self._engine
        finally:
            self._busy.release()
