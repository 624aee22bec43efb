"""The plan: an App and its models as the one JSON-able dict that the engine is made from."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from millstream import _check
from millstream._durations import duration_ms
from millstream._events import EventModelSpec
from millstream._model import ModelSpec
from millstream._settings import Settings
from millstream._topic import Topic
from millstream.errors import ConfigError

_IDLE_MS = 30_000
# One topic is read once, under one rule, whatever the number of models on it; what they see of it may differ.
_SHARED = (
    "key",
    "timestamp",
    "timestamp_unit",
    "missing",
    "format",
    "idle_timeout",
    "max_future",
    "scattered",
)


def build(settings: Settings, models: Sequence[ModelSpec]) -> dict[str, Any]:
    """Return the plan; durations in whole ms.

    Raises:
        ConfigError: There is no model, or two declarations of a topic differ.
    """
    if not models:
        raise ConfigError(
            f"App({settings.name!r}) has no model; decorate one with "
            '@app.model(source=Topic(...), window=HoppingWindow(...), sink="...")'
        )
    declared: dict[str, list[Topic]] = {}
    for model in models:
        declared.setdefault(model.source.name, []).append(model.source)
    sinks = {model.sink for model in models}
    order = list(declared)
    return {
        **asdict(settings),
        "sources": [_source(topics, chained=name in sinks) for name, topics in declared.items()],
        "models": [_model(model, order.index(model.source.name)) for model in models],
    }


def _source(declarations: Sequence[Topic], *, chained: bool) -> dict[str, Any]:
    first = declarations[0]
    for other in declarations[1:]:
        for rule in _SHARED:
            mine, theirs = getattr(first, rule), getattr(other, rule)
            if mine != theirs:
                raise _check.refusal(
                    f"Topic({first.name!r}) {rule}",
                    theirs,
                    f"is {_check.shown(mine)} in another declaration of this topic",
                    "give all of them the same; only fields, context and dtype may differ within an app",
                )
    return {
        "topic": first.name,
        "key": first.key,
        "timestamp": first.timestamp,
        "timestamp_unit": first.timestamp_unit,
        "fields": list(dict.fromkeys(field for topic in declarations for field in topic.fields)),
        "context": list(dict.fromkeys(field for topic in declarations for field in topic.context)),
        "missing": first.missing,
        "format": first.format,
        "idle_timeout_ms": _idle_ms(first, chained=chained),
        "max_future_ms": None if first.max_future is None else _ms(first.max_future, least=0),
        "scattered": first.scattered,
    }


def _idle_ms(topic: Topic, *, chained: bool) -> int | None:
    if topic.idle_timeout == "auto":
        return None if chained else _IDLE_MS
    return None if topic.idle_timeout is None else _ms(topic.idle_timeout)


def _model(model: ModelSpec, source: int) -> dict[str, Any]:
    window = model.window
    return {
        "name": model.name,
        "version": model.version,
        "source": source,
        "size_ms": _ms(window.size),
        "hop_ms": _ms(window.hop),
        "offset_ms": _ms(window.offset, least=None),
        "grace_ms": _ms(window.grace, least=0),
        "min_events": window.min_events,
        "sink": model.sink,
        "max_batch": model.max_batch,
        "max_batch_events": model.max_batch_events,
        "length_buckets": list(buckets) if isinstance(buckets := model.length_buckets, tuple) else buckets,
        "target_ms": model.target_ms,
        "workers": model.workers,
        "pool": model.pool,
        "late": model.late,
        "on_error": model.on_error,
        "retries": model.retries,
        "timeout_ms": model.timeout_ms,
        "fields": list(model.source.fields),
        "context": list(model.source.context),
        "dtype": model.source.dtype,
        "timestamps": model.timestamps,
        "pad_batch_to": model.pad_batch_to,
        "outputs": None if model.outputs is None else list(model.outputs),
        **({"max_wait_ms": model.max_wait_ms} if isinstance(model, EventModelSpec) else {}),
    }


def _ms(checked: object, *, least: int | None = 1) -> int:
    return duration_ms("duration", checked, least=least)
