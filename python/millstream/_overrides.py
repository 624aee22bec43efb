"""What a command line sets over the code: `--lanes 4`, `--set activity.workers=4`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from millstream import _check
from millstream._durations import duration_ms
from millstream._events import _MOST_EVENTS, EventModelSpec
from millstream._model import (
    _MOST_RETRIES,
    _MOST_WINDOWS,
    _MOST_WORKERS,
    Late,
    ModelSpec,
    OnError,
)
from millstream._settings import _MOST_LANES, Settings

_NONE = "none"


def _whole(least: int, most: int | None) -> Callable[[str, str], int]:
    def read(setting: str, text: str) -> int:
        return _check.count(setting, _check.whole(text), least=least, most=most)

    return read


def _choice(options: Sequence[str]) -> Callable[[str, str], str]:
    return lambda setting, text: _check.choice(setting, text, options)


def _or_none(read: Callable[[str, str], int]) -> Callable[[str, str], int | None]:
    return lambda setting, text: None if text == _NONE else read(setting, text)


# By the name of the keyword of `@app.model`: the field of the spec, and how its text is read.
_KEYS: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "workers": ("workers", _whole(1, _MOST_WORKERS)),
    "max_batch": ("max_batch", _whole(1, _MOST_WINDOWS)),
    "max_batch_events": ("max_batch_events", _or_none(_whole(1, None))),
    "target": ("target_ms", _or_none(duration_ms)),
    "timeout": ("timeout_ms", _or_none(duration_ms)),
    "retries": ("retries", _whole(0, _MOST_RETRIES)),
    "on_error": ("on_error", _choice(get_args(OnError))),
    "late": ("late", _choice(get_args(Late))),
}
# The same of `@app.batch`.
_OF_EVENTS: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "max_events": ("max_batch", _whole(1, _MOST_EVENTS)),
    **{name: _KEYS[name] for name in ("workers", "target", "timeout", "retries", "on_error")},
}


def lanes(settings: Settings, number: int) -> Settings:
    """Return the settings with another number of lanes.

    Raises:
        ConfigError: It is out of range.
    """
    return replace(settings, lanes=_check.count("--lanes", number, most=_MOST_LANES))


def models(specs: Sequence[ModelSpec], assignments: Sequence[str]) -> list[ModelSpec]:
    """Return the models with `MODEL.KEY=VALUE` applied, in order.

    Args:
        specs: The models of an app.
        assignments: What was typed after each `--set`; `none` is None where the keyword takes that.

    Raises:
        ConfigError: It is no such assignment, or there is no such model, or the key or the value is wrong.
    """
    changed = {spec.name: spec for spec in specs}
    for assignment in assignments:
        place, equals, text = assignment.partition("=")
        name, _, key = place.rpartition(".")
        if not equals or not name:
            problem, fix = "is no setting of a model", "write MODEL.KEY=VALUE: --set activity.workers=4"
            raise _check.refusal("--set", assignment, problem, fix)
        if name not in changed:
            fix = f"write one of {', '.join(changed)}" if changed else "add one"
            raise _check.refusal("--set", assignment, f"there is no model {name!r} in this app", fix)
        keys = _OF_EVENTS if isinstance(changed[name], EventModelSpec) else _KEYS
        if key not in keys:
            problem = f"{key!r} cannot be set here"
            raise _check.refusal("--set", assignment, problem, f"write one of {', '.join(keys)}")
        field, read = keys[key]
        given: dict[str, Any] = {field: read(f"--set {place}", text)}
        changed[name] = _with_padding(replace(changed[name], **given))
    return list(changed.values())


def _with_padding(spec: ModelSpec) -> ModelSpec:
    if spec.pad_batch_to is None or spec.max_batch <= spec.pad_batch_to:
        return spec
    return replace(spec, max_batch=spec.pad_batch_to)
