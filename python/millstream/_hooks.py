"""The life of a model's instances in one run: made, loaded, warmed up, handed to the workers, closed."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from millstream._core import WindowBatch
from millstream._events import EventModelSpec
from millstream._model import ModelSpec

_WARMUP_WINDOWS = 8
_WARMUP_EVENTS = 32


class ModelHooks:
    """What the engine calls around the threads of one model; an exception of the model passes as it is."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._loaded: list[Any] = []

    def open(self) -> list[Callable[..., Any]]:
        """Load the model and return what each worker calls.

        Where one instance fails, those loaded before it are closed.
        """
        spec = self._spec
        if not isinstance(spec.target, type):
            return [spec.target] * spec.workers
        with ExitStack() as undo:
            undo.callback(self.close)
            for _ in range(spec.workers if spec.per_worker else 1):
                self._load(spec.target)
            undo.pop_all()
        calls = [instance.predict for instance in self._loaded]
        return calls if spec.per_worker else calls * spec.workers

    def close(self) -> None:
        """Close every loaded instance, each of them even where another one raises; twice is no harm."""
        with ExitStack() as stack:
            while self._loaded:
                instance = self._loaded.pop()
                if hasattr(instance, "close"):
                    stack.callback(instance.close)

    def _load(self, target: type) -> None:
        instance: Any = target()
        if hasattr(instance, "load"):
            instance.load()
        self._loaded.append(instance)
        if hasattr(instance, "warmup"):
            spec, source = self._spec, self._spec.source
            if isinstance(spec, EventModelSpec):
                instance.warmup(spec.warmup_batch())
                return
            made_up = WindowBatch.synthetic(
                list(source.fields),
                min(_WARMUP_WINDOWS, spec.max_batch),
                _WARMUP_EVENTS,
                spec.timestamps,
                dtype=source.dtype,
                context=list(source.context),
                pad_batch_to=spec.pad_batch_to,
            )
            instance.warmup(made_up)
