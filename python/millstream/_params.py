"""The params of a run: checked before it begins, and given to every `load` whose signature takes them."""

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from millstream import _check
from millstream._model import ModelSpec
from millstream.errors import ConfigError

_NEEDED = 'write app.run(params={"name": "value"}), or --param name=value on the command line'


def check(params: object, models: Sequence[ModelSpec]) -> dict[str, Any] | None:
    """Return the params of a run.

    Raises:
        ConfigError: They are no dict of names, no model takes them, or a model needs them and there are none.
    """
    if params is None:
        for spec in models:
            parameter = _parameter(spec)
            if parameter is not None and parameter.default is inspect.Parameter.empty:
                raise ConfigError(f"model {spec.name!r} load(self, params) needs params; {_NEEDED}")
        return None
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        # Their values may be secrets.
        kind = _check.kind(params)
        raise ConfigError(f"App.run() params: {kind} is not a dict with names as keys; {_NEEDED}")
    if not any(_parameter(spec) for spec in models):
        problem = "are taken by no model of this app"
        raise _check.refusal("App.run() params", list(params), problem, "write def load(self, params)")
    return dict(params)


def for_load(spec: ModelSpec, params: dict[str, Any] | None) -> dict[str, Any]:
    """Return the keyword arguments of `load`: the params, a copy, where there are any and it takes them."""
    return {} if params is None or _parameter(spec) is None else {"params": dict(params)}


def parse(options: Sequence[str]) -> dict[str, Any] | None:
    """Return what `--param name=value` says; None where it is not given.

    A value is JSON where it reads as that, else text.

    Raises:
        ConfigError: There is no name or no `=`, or a name comes twice.
    """
    params: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not name or not equals:
            given = f"{name}=***" if equals else name
            raise _check.refusal("--param", given, "has no name or no value", "write --param name=value")
        if name in params:
            raise _check.refusal("--param", f"{name}=***", f"gives {name!r} twice", "give it once")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params or None


def _parameter(spec: ModelSpec) -> inspect.Parameter | None:
    load = getattr(spec.target, "load", None) if isinstance(spec.target, type) else None
    if load is None:
        return None
    try:
        return inspect.signature(load).parameters.get("params")
    except (TypeError, ValueError):
        return None
