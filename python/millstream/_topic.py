"""Topic: where the readings are and how a record becomes an event."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from millstream import _check
from millstream._durations import Duration, canonical

TimestampUnit = Literal["ms", "s", "us", "ns", "rfc3339"]

_UNITS: tuple[TimestampUnit, ...] = ("ms", "s", "us", "ns", "rfc3339")


@dataclass(frozen=True)
class Topic:
    """A Kafka topic as the source of a model. Making one touches no network.

    A record that does not fit the declaration goes to the dead-letter topic, with the reason.

    Args:
        name: The topic.
        key: JSON field that holds the key of an event (a string or an integer). None takes the record's key.
            On a topic of several partitions the key must decide the partition.
        timestamp: JSON field that holds the event time. None takes the record's timestamp.
        timestamp_unit: `"ms"`, `"s"`, `"us"`, `"ns"` since the epoch, or `"rfc3339"` text. None means ms, and
            has the first records checked for a unit that is plainly another one.
        fields: JSON fields that make up the features, a number each, in this order; nested ones by dotted
            path. Numbers and booleans are taken, quoted numbers are not.
        context: JSON fields that say where events are from, a string, number or boolean each; of a window a
            model sees the last value by time and offset, in `batch.context`.
        dtype: Type of the features as models see them, `"float64"` or `"float32"`, rounded to the nearest.
        missing: `"dead_letter"`: an absent or null field makes the record a dead letter; `"nan"`: it is NaN,
            and as context not there: the last value that is counts.
        format: `"json"`.
        idle_timeout: A partition that is caught up and quiet for this long closes the windows that its events
            are waiting in. `"auto"`: 30 s, and off where the topic is a sink of the same app. None: off.
        max_future: An event further ahead of its record's timestamp is a dead letter. None: off.
        scattered: True says that a key may appear in several partitions, and that windows per partition are
            what is meant.

    Raises:
        ConfigError: An argument is of a wrong type or value.
    """

    name: str
    _: KW_ONLY
    key: str | None = None
    timestamp: str | None = None
    timestamp_unit: TimestampUnit | None = None
    fields: Sequence[str] = ()
    context: Sequence[str] = ()
    dtype: Literal["float64", "float32"] = "float64"
    missing: Literal["dead_letter", "nan"] = "dead_letter"
    format: Literal["json"] = "json"
    idle_timeout: Duration | Literal["auto"] | None = "auto"
    max_future: Duration | None = "1h"
    scattered: bool = False

    def __post_init__(self) -> None:
        _check.name("Topic name", self.name, fix='write the name of a Kafka topic: Topic("readings")')
        owner = f"Topic({self.name!r})"
        if self.key is not None:
            _check.field_path(f"{owner} key", self.key)
        if self.timestamp is not None:
            _check.field_path(f"{owner} timestamp", self.timestamp)
        self._check_unit(f"{owner} timestamp_unit")
        self._set("fields", _field_names(f"{owner} fields", self.fields, 'fields=["ax", "ay"]'))
        self._set("context", _field_names(f"{owner} context", self.context, 'context=["site"]'))
        _check.choice(f"{owner} dtype", self.dtype, ("float64", "float32"))
        _check.choice(f"{owner} missing", self.missing, ("dead_letter", "nan"))
        _check.choice(f"{owner} format", self.format, ("json",))
        auto = isinstance(self.idle_timeout, str) and self.idle_timeout == "auto"
        if self.idle_timeout is not None and not auto:
            self._set("idle_timeout", canonical(f"{owner} idle_timeout", self.idle_timeout))
        if self.max_future is not None:
            self._set("max_future", canonical(f"{owner} max_future", self.max_future, least=0))
        _check.flag(f"{owner} scattered", self.scattered)

    def _check_unit(self, setting: str) -> None:
        if self.timestamp_unit is None:
            return
        _check.choice(setting, self.timestamp_unit, _UNITS)
        if self.timestamp is None:
            raise _check.refusal(
                setting,
                self.timestamp_unit,
                "has no field to apply to: record timestamps are always ms",
                'name the field, timestamp="ts", or leave the unit out',
            )

    def _set(self, attribute: str, value: Any) -> None:
        object.__setattr__(self, attribute, value)


def _field_names(setting: str, value: object, example: str) -> tuple[str, ...]:
    fix = f"write a list of JSON field names: {example}"
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise _check.refusal(setting, value, "is not a list of names", fix)
    names = tuple(_check.field_path(f"{setting}[{i}]", field) for i, field in enumerate(value))
    twice = sorted({field for field in names if names.count(field) > 1})
    if twice:
        raise _check.refusal(setting, value, f"names {twice[0]!r} twice", "name each field once")
    return names
