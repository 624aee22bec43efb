"""The models of an app by name: one may be defined again, as in notebooks; two of one name are a mistake."""

import logging
from collections.abc import MutableSequence

from millstream import _check
from millstream._adapted import Adapted
from millstream._model import ModelSpec

_log = logging.getLogger("millstream.app")


def add(
    models: MutableSequence[ModelSpec], spec: ModelSpec, app: str, *, decorator: str, running: bool
) -> None:
    """Add a model, or put it in the place of an earlier definition of the same one.

    The same one is a function or class of the same module and qualified name; lambdas all share one, so they
    are never the same. An estimator or an ONNX file has no such name: there it is the same class, or path,
    from the same source to the same sink.

    Raises:
        ConfigError: The name is that of another model, or of a model that runs.
    """
    for place, other in enumerate(models):
        if other.name != spec.name:
            continue
        if not _redefined(other, spec):
            problem = f"is taken by another model of App({app!r})"
            raise _check.refusal(f"{decorator} name", spec.name, problem, "give one of them another name=")
        if running:
            problem = f"is a model of App({app!r}), which is running"
            raise _check.refusal(
                f"{decorator} name", spec.name, problem, "call app.stop() before defining it again"
            )
        models[place] = spec
        _log.info("model %s is defined again: the latest definition counts", spec.name, extra={"app": app})
        return
    models.append(spec)


def _redefined(before: ModelSpec, now: ModelSpec) -> bool:
    path, again = _path(before), _path(now)
    return again is not None and path == again


def _path(spec: ModelSpec) -> tuple[str, ...] | None:
    target = spec.target
    if isinstance(target, Adapted):
        return (target.origin, spec.source.name, spec.sink)
    name = getattr(target, "__qualname__", None)
    if name is None or "<lambda>" in str(name):
        return None
    return (str(getattr(target, "__module__", None)), str(name))
