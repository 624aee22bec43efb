"""The life of a model's instances in one run: made, loaded, warmed up, handed to the workers, closed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from millstream import _params, _windowed
from millstream._adapted import Adapted
from millstream._contain import contained
from millstream._core import EventBatch, WindowBatch
from millstream._events import EventModelSpec
from millstream._loading import load
from millstream._loops import WorkerLoop, is_async
from millstream._model import ModelSpec
from millstream.errors import ModelError

_WARMUP_WINDOWS = 8
_WARMUP_EVENTS = 32


class ModelHooks:
    """What the engine calls around the threads of one model; an exception of the model passes as it is.

    Args:
        spec: The model.
        params: Those of the run, checked.
    """

    def __init__(self, spec: ModelSpec, params: dict[str, Any] | None = None) -> None:
        self._spec = spec
        self._params = params
        self._loaded: list[tuple[Any, WorkerLoop | None]] = []
        self._loops: list[WorkerLoop] = []

    def open(self) -> list[Callable[..., Any]]:
        """Load the model and return what each worker calls.

        Where one instance fails, those loaded before it are closed.
        """
        spec = self._spec
        with ExitStack() as undo:
            undo.callback(self.close)
            if spec.is_async:
                self._loops = [WorkerLoop() for _ in range(spec.workers)]
            predicts = self._predicts()
            undo.pop_all()
        loops: list[WorkerLoop | None] = [*self._loops] or [None] * spec.workers
        return [_call(predicts[i % len(predicts)], spec, loop) for i, loop in enumerate(loops)]

    def cancel(self) -> None:
        """Give up the calls that are awaited; nothing that they would return counts any more."""
        for loop in self._loops:
            loop.cancel()

    def close(self) -> None:
        """Close every loaded instance, each of them even where another one raises; twice is no harm."""
        with ExitStack() as stack:
            while self._loops:
                stack.callback(self._loops.pop().close)
            while self._loaded:
                instance, loop = self._loaded.pop()
                if hasattr(instance, "close") and (loop is None or loop.settle()):
                    stack.callback(self._run, "close", loop, instance.close)

    def _predicts(self) -> list[Callable[..., Any]]:
        spec = self._spec
        if not isinstance(spec.target, type | Adapted):
            return [spec.target]
        for number in range(spec.workers if spec.per_worker else 1):
            self._load(spec.target, self._loops[number] if self._loops else None)
        return [instance.predict for instance, _ in self._loaded]

    def _load(self, target: type | Adapted, loop: WorkerLoop | None) -> None:
        spec = self._spec
        with contained(spec.name, "__init__"):
            instance: Any = target.make(spec) if isinstance(target, Adapted) else target()
        if hasattr(instance, "load"):
            body = partial(instance.load, **_params.for_load(spec, self._params))
            if not self._in_time("load", loop, body):
                raise self._too_late("load")
        self._loaded.append((instance, loop))
        for made_up in self._made_up() if hasattr(instance, "warmup") else ():
            body = partial(instance.warmup, made_up)
            if not self._in_time("warmup", loop, body):
                # It is still at work, and is not to be closed under its own hands.
                self._loaded.pop()
                raise self._too_late("warmup")

    def _in_time(self, call: str, loop: WorkerLoop | None, body: Callable[[], object]) -> bool:
        run = partial(self._run, call, loop, body)
        return load(self._spec.name, call, run, self._spec.load_timeout_ms)

    def _too_late(self, call: str) -> ModelError:
        return ModelError(
            f"{call} of model {self._spec.name!r} has not returned within "
            f"load_timeout={self._spec.load_timeout_ms}ms; nothing was consumed. Find out what it "
            "waits for, or give it more time"
        )

    def _run(self, call: str, loop: WorkerLoop | None, body: Callable[[], object]) -> None:
        with contained(self._spec.name, call):
            body() if loop is None else loop.call(body)

    def _made_up(self) -> Iterator[Any]:
        spec = self._spec
        if isinstance(spec.length_buckets, tuple):
            yield from (synthetic_batch(spec, bound) for bound in spec.length_buckets)
            return
        batch = synthetic_batch(spec)
        yield batch if spec.batch else batch[0]


def _call(
    predict: Callable[..., Any], spec: ModelSpec, loop: WorkerLoop | None
) -> Callable[[WindowBatch], Any]:
    if not spec.batch:
        predict = (_windowed.each_async if is_async(predict) else _windowed.each)(predict)
    return predict if loop is None else partial(loop.call, predict)


def synthetic_batch(spec: ModelSpec, length: int = _WARMUP_EVENTS) -> WindowBatch | EventBatch:
    """Return made-up windows of so many events, or single events, of what a model declares."""
    if isinstance(spec, EventModelSpec):
        return spec.warmup_batch()
    source = spec.source
    windows = min(_WARMUP_WINDOWS, spec.max_batch)
    if spec.max_batch_events is not None:
        windows = max(1, min(windows, spec.max_batch_events // length))
    return WindowBatch.synthetic(
        list(source.fields),
        windows,
        length,
        spec.timestamps,
        dtype=source.dtype,
        context=list(source.context),
        pad_batch_to=spec.pad_batch_to,
    )
