"""What `@app.model` declares: the function or class, where it reads, what it sees, where it writes."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from millstream import _check
from millstream._adapted import Adapted
from millstream._durations import Duration, duration_ms
from millstream._lengths import LengthBuckets
from millstream._lengths import length_buckets as checked_buckets
from millstream._loops import is_async
from millstream._topic import Topic
from millstream._windows import HoppingWindow

Late = Literal["drop", "topic"]
OnError = Literal["dead_letter", "fail", "skip"]
Pool = Literal["threads", "processes"]

_LONGEST_NAME = 100
_MOST_WORKERS = 256
_MOST_WINDOWS = 1 << 20
_MOST_RETRIES = 100
# The fields of a result record that are not the model's.
RESERVED_FIELDS = ("key", "window", "n_events")
# The methods of a model class, with the arguments that each is called with beside self.
_METHODS = {"load": "", "predict": "batch", "warmup": "batch", "close": ""}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One declared model, checked."""

    target: Callable[..., Any] | Adapted
    name: str
    version: str | None
    source: Topic
    window: HoppingWindow
    sink: str
    max_batch: int
    max_batch_events: int | None
    length_buckets: LengthBuckets
    target_ms: int | None
    workers: int
    per_worker: bool
    pool: Pool
    late: Late
    on_error: OnError
    retries: int
    timeout_ms: int | None
    load_timeout_ms: int | None
    outputs: tuple[str, ...] | None
    timestamps: bool
    pad_batch_to: int | None
    batch: bool
    is_async: bool


def declare(
    model: Callable[..., Any] | Adapted,
    *,
    source: Topic,
    window: HoppingWindow,
    sink: str,
    max_batch: int,
    max_batch_events: int | None,
    length_buckets: Sequence[int] | Literal["exact"] | None,
    target: Duration | None,
    workers: int,
    per_worker: bool,
    pool: Pool,
    late: Late,
    on_error: OnError,
    retries: int,
    timeout: Duration | None,
    load_timeout: Duration | None,
    outputs: Sequence[str] | None,
    timestamps: bool,
    pad_batch_to: int | None,
    batch: bool,
    name: str | None,
    version: str | None,
) -> ModelSpec:
    """Check the arguments of `@app.model` and what it stands on.

    Raises:
        ConfigError: An argument is of a wrong type or value, or `model` is no model.
    """
    per_window = not _check.flag("@app.model batch", batch)
    _check_target(model, "window" if per_window else "batch")
    named = _name(model, name)
    owner = f"model {named!r}"
    if not isinstance(source, Topic):
        raise _check.refusal(
            f"{owner} source", source, "is not a Topic", 'write source=Topic("readings", fields=["ax"])'
        )
    if not isinstance(window, HoppingWindow):
        fix = 'write window=HoppingWindow("10s", hop="1s", grace="5s")'
        raise _check.refusal(f"{owner} window", window, "is not a window", fix)
    most_windows = _check.count(f"{owner} max_batch", max_batch, most=_MOST_WINDOWS)
    if pad_batch_to is not None:
        padded = _check.count(f"{owner} pad_batch_to", pad_batch_to, most=_MOST_WINDOWS)
        most_windows = min(most_windows, padded)
    spec = ModelSpec(
        target=model,
        name=named,
        version=None if version is None else _check.printable(f"{owner} version", version, fix='write "3"'),
        source=source,
        window=window,
        sink=_check.name(f"{owner} sink", sink, fix='write the name of a topic: sink="results"'),
        max_batch=most_windows,
        max_batch_events=None
        if max_batch_events is None
        else _check.count(f"{owner} max_batch_events", max_batch_events),
        length_buckets=checked_buckets(f"{owner} length_buckets", length_buckets),
        target_ms=None if target is None else duration_ms(f"{owner} target", target),
        workers=_check.count(f"{owner} workers", workers, most=_MOST_WORKERS),
        per_worker=_check.flag(f"{owner} per_worker", per_worker),
        pool=_check.choice(f"{owner} pool", pool, get_args(Pool)),
        late=_check.choice(f"{owner} late", late, get_args(Late)),
        on_error=_check.choice(f"{owner} on_error", on_error, get_args(OnError)),
        retries=_check.count(f"{owner} retries", retries, least=0, most=_MOST_RETRIES),
        timeout_ms=None if timeout is None else duration_ms(f"{owner} timeout", timeout),
        load_timeout_ms=None if load_timeout is None else duration_ms(f"{owner} load_timeout", load_timeout),
        outputs=None if outputs is None else output_names(f"{owner} outputs", outputs, RESERVED_FIELDS),
        timestamps=_check.flag(f"{owner} timestamps", timestamps),
        pad_batch_to=pad_batch_to,
        batch=batch,
        is_async=_is_async(model),
    )
    _check_instances(spec, owner)
    if per_window:
        _check_per_window(spec, owner)
    return spec


def _check_per_window(spec: ModelSpec, owner: str) -> None:
    others = {
        "an estimator or an ONNX file": isinstance(spec.target, Adapted),
        "pad_batch_to": spec.pad_batch_to is not None,
        "length_buckets": spec.length_buckets is not None,
    }
    for other, there in others.items():
        if there:
            problem = f"does not go with {other}"
            raise _check.refusal(f"{owner} batch", False, problem, "leave one of them out")


def _check_instances(spec: ModelSpec, owner: str) -> None:
    is_class = isinstance(spec.target, type)
    if spec.per_worker and not (is_class or (isinstance(spec.target, Adapted) and spec.target.many)):
        fix = "write a class, or leave per_worker out"
        raise _check.refusal(f"{owner} per_worker", True, "needs a class to make instances of", fix)
    shared = spec.pool == "threads" and not spec.per_worker
    if is_class and spec.is_async and spec.workers > 1 and shared:
        problem = "and one instance with async methods, but each worker has an event loop of its own"
        raise _check.refusal(f"{owner} workers", spec.workers, problem, "write per_worker=True, or workers=1")


def _is_async(model: object) -> bool:
    if isinstance(model, type):
        return any(is_async(getattr(model, method, None)) for method in _METHODS)
    return is_async(model)


def output_names(setting: str, value: object, reserved: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the fields of a result, checked; `reserved` are those that it has anyway."""
    fix = 'write a list of field names: outputs=["label", "score"]'
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise _check.refusal(setting, value, "is not a list of names", fix)
    names = tuple(_check.text(f"{setting}[{i}]", name, fix=fix) for i, name in enumerate(value))
    if not names:
        raise _check.refusal(setting, value, "names no field", fix)
    for name in names:
        if names.count(name) > 1:
            raise _check.refusal(setting, value, f"names {name!r} twice", "name each field once")
        if name in reserved:
            problem = f"names {name!r}, which each result record already has"
            raise _check.refusal(setting, value, problem, "give it another name")
    return names


def _name(target: Callable[..., Any] | Adapted, name: str | None) -> str:
    own = target.name if isinstance(target, Adapted) else getattr(target, "__name__", None)
    given = own if name is None else name
    if name is None and not isinstance(given, str):
        raise _check.refusal(
            "@app.model name", name, "and the model has no __name__", 'write name="activity"'
        )
    return _check.name("@app.model name", given, longest=_LONGEST_NAME, fix='write name="activity"')


def _check_target(target: object, given: str) -> None:
    fix = f"decorate a function predict({given}), or a class with a method predict(self, {given})"
    if isinstance(target, Adapted):
        return
    if isinstance(target, type):
        if not callable(getattr(target, "predict", None)):
            raise _check.refusal("@app.model on", target, "has no method predict", fix)
        if not _takes(target, 0):
            problem = "needs arguments to be made"
            raise _check.refusal(
                "@app.model on", target, problem, "give __init__ defaults, or use load(self)"
            )
        for method, argument in _METHODS.items():
            _check_method(target, method, argument and given)
    elif not callable(target):
        raise _check.refusal("@app.model on", target, "is neither a function nor a class", fix)
    else:
        _check_callable(target, target, 1, f"predict({given})")


def _check_method(target: type, method: str, argument: str) -> None:
    function = getattr(target, method, None)
    if function is None:
        return
    bound = isinstance(inspect.getattr_static(target, method), staticmethod | classmethod)
    form = f"{method}(self, {argument})" if argument else f"{method}(self)"
    keywords = ("params",) if method == "load" and _has_params(function) else ()
    _check_callable(target, function, bool(argument) + (not bound), form, keywords)


def _has_params(function: Callable[..., Any]) -> bool:
    try:
        return "params" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _check_callable(
    target: object, function: Callable[..., Any], arguments: int, form: str, keywords: Sequence[str] = ()
) -> None:
    if inspect.isasyncgenfunction(function):
        fix = f"write it as async def {form} that returns its rows"
        raise _check.refusal("@app.model on", target, f"{form} is an async generator", fix)
    if not callable(function) or not _takes(function, arguments, keywords):
        problem = f"cannot be called as {form}"
        raise _check.refusal("@app.model on", target, problem, f"write it as def {form}")


def _takes(function: Callable[..., Any], arguments: int, keywords: Sequence[str] = ()) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some callables written in C tell nothing; calling them will.
        return True
    try:
        signature.bind(*[None] * arguments, **dict.fromkeys(keywords))
    except TypeError:
        return False
    return True
