"""What `@app.batch` declares: a model that scores every event of a topic, without a window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from millstream import _check, _model
from millstream._core import EventBatch
from millstream._durations import Duration, duration_ms
from millstream._model import ModelSpec, OnError, Pool
from millstream._topic import Topic
from millstream._windows import TumblingWindow
from millstream.errors import ConfigError

_MOST_EVENTS = 1 << 20
_WARMUP_EVENTS = 256
# The fields of a result record that are not the model's.
_RESERVED_FIELDS = ("key", "timestamp", "offset")
# An event is a unit of its own that is closed at once: the smallest window, with nothing to wait for.
_AT_ONCE = TumblingWindow("1ms", grace="0ms")


@dataclass(frozen=True, kw_only=True)
class EventModelSpec(ModelSpec):
    """One declared model of single events, checked."""

    max_wait_ms: int

    def warmup_batch(self) -> EventBatch:
        """Return a made-up batch of the declared fields."""
        return EventBatch.synthetic(
            list(self.source.fields),
            min(_WARMUP_EVENTS, self.max_batch),
            dtype=self.source.dtype,
            context=list(self.source.context),
        )


def declare(
    model: Callable[..., Any],
    *,
    source: Topic,
    sink: str,
    max_events: int,
    max_wait: Duration,
    target: Duration | None,
    workers: int,
    per_worker: bool,
    pool: Pool,
    on_error: OnError,
    retries: int,
    timeout: Duration | None,
    load_timeout: Duration | None,
    outputs: Sequence[str] | None,
    name: str | None,
    version: str | None,
) -> EventModelSpec:
    """Check the arguments of `@app.batch` and what it stands on.

    Raises:
        ConfigError: An argument is of a wrong type or value, or `model` is no model.
    """
    _check.count("@app.batch max_events", max_events, most=_MOST_EVENTS)
    waits = duration_ms("@app.batch max_wait", max_wait, least=0)
    names = None
    if outputs is not None:
        names = _model.output_names("@app.batch outputs", outputs, _RESERVED_FIELDS)
    try:
        spec = _model.declare(
            model,
            source=source,
            window=_AT_ONCE,
            sink=sink,
            max_batch=max_events,
            max_batch_events=None,
            length_buckets=None,
            target=target,
            workers=workers,
            per_worker=per_worker,
            pool=pool,
            late="drop",
            on_error=on_error,
            retries=retries,
            timeout=timeout,
            load_timeout=load_timeout,
            outputs=None,
            timestamps=True,
            pad_batch_to=None,
            batch=True,
            name=name,
            version=version,
        )
    except ConfigError as error:
        # What both decorators take is checked in one place; the user wrote this one.
        raise ConfigError(str(error).replace("@app.model", "@app.batch")) from None
    return EventModelSpec(**{**vars(spec), "outputs": names}, max_wait_ms=waits)
