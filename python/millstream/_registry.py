"""The models of an app by name: one may be defined again, as in notebooks; two of one name are a mistake."""

import logging
from collections.abc import MutableSequence

from millstream import _check
from millstream._model import ModelSpec

_log = logging.getLogger("millstream.app")


def add(
    models: MutableSequence[ModelSpec], spec: ModelSpec, app: str, *, decorator: str, running: bool
) -> None:
    """Add a model, or put it in the place of an earlier definition of the same one.

    The same one is a function or class of the same module and qualified name. Lambdas all share one, so they
    are never the same.

    Raises:
        ConfigError: The name is that of another model, or of a model that runs.
    """
    for place, other in enumerate(models):
        if other.name != spec.name:
            continue
        if not _redefined(other.target, spec.target):
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


def _redefined(before: object, now: object) -> bool:
    path, again = (
        (getattr(target, "__module__", None), getattr(target, "__qualname__", None))
        for target in (before, now)
    )
    return None not in again and "<lambda>" not in str(again[1]) and path == again
