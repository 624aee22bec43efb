"""`App.backtest()` at its edges: frames and files in, the same kind of frame out, a bar meanwhile."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from inspect import isfunction
from typing import Any

from millstream import _check, _sources
from millstream._disorder import Disorder
from millstream._durations import duration_ms
from millstream._events import EventModelSpec
from millstream._model import _MOST_WORKERS, ModelSpec
from millstream._pool.blas import cores


def options(
    order: object, disorder: Disorder | None, drain: bool, workers: int | None, models: Sequence[ModelSpec]
) -> dict[str, Any]:
    """Return what the engine is told, checked.

    Raises:
        ConfigError: An argument is of a wrong type or value.
    """
    _check.choice("App.backtest() order", order, ("time", "row"))
    _check.flag("App.backtest() drain", drain)
    if disorder is not None and not isinstance(disorder, Disorder):
        fix = 'write disorder=Disorder(seed=1, delay="2s", late=0.01)'
        raise _check.refusal("App.backtest() disorder", disorder, "is not a Disorder", fix)
    if disorder is not None and order == "row":
        problem = 'does not go with order="row", which takes the rows as they are'
        raise _check.refusal("App.backtest() disorder", disorder, problem, "leave one of the two out")
    for spec in models:
        if isinstance(spec, EventModelSpec):
            problem = "scores single events, and a backtest is of windows"
            raise _check.refusal("App.backtest() model", spec.name, problem, "call its predict on the frame")
    if workers is not None:
        _check.count("App.backtest() workers", workers, most=_MOST_WORKERS)
    return {
        "order": order,
        "disorder": None if disorder is None else _disorder(disorder),
        "drain": drain,
        "workers": workers or min(cores(), _MOST_WORKERS),
        "serial": [] if workers else [place for place, spec in enumerate(models) if _alone(spec)],
    }


def with_workers(models: Sequence[ModelSpec], workers: int) -> list[ModelSpec]:
    """Return the models with as many workers as there are threads; what one loop awaits stays there."""
    return [spec if spec.is_async and _alone(spec) else replace(spec, workers=workers) for spec in models]


def frames(data: object, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frame of each source topic; files are read.

    Raises:
        ConfigError: A topic is not a source from outside, or something is no frame.
        ModuleNotFoundError: Nothing that reads the file is installed.
    """
    sinks = {model["sink"] for model in plan["models"]}
    sources = {source["topic"]: source for source in plan["sources"] if source["topic"] not in sinks}
    if not isinstance(data, Mapping):
        if len(sources) != 1:
            problem = f"has to say which of the sources {list(sources)} it is of"
            raise _check.refusal(
                "App.backtest() data", type(data).__name__, problem, 'write {"topic": frame, ...}'
            )
        data = dict.fromkeys(sources, data)
    for topic in data:
        if topic not in sources:
            problem = "is not a source that is fed from outside this app"
            raise _check.refusal("App.backtest() topic", topic, problem, f"feed one of {list(sources)}")
    return {topic: _sources.frame(given, sources[topic]) for topic, given in data.items()}


def same_kind(tables: Any, fed: Mapping[str, Any]) -> Any:
    """Return tables of the engine as frames of the kind that was fed."""
    convert = _sources.converter(next(iter(fed.values()), None))
    sinks, dropped = tables
    made = {sink: convert(table) for sink, table in sinks}
    return (made if len(made) > 1 else next(iter(made.values()))), convert(dropped)


@contextmanager
def bar(progress: bool | None) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far it is on stderr; None: where that is a terminal."""
    if progress is not None:
        _check.flag("App.backtest() progress", progress)
    if not (sys.stderr.isatty() if progress is None else progress):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("backtest"), BarColumn(), MofNCompleteColumn(), TextColumn("events"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task("backtest", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _disorder(disorder: Disorder) -> tuple[int, int, float, int]:
    delay = duration_ms("delay", disorder.delay, least=0)
    return (disorder.seed, delay, float(disorder.late), duration_ms("late_by", disorder.late_by))


def _alone(spec: ModelSpec) -> bool:
    """Whether a model is one instance that has not been said to take two calls at a time."""
    return spec.workers == 1 and not spec.per_worker and not isfunction(spec.target)
