"""Workers that are threads: what is done for them around the model's own hooks."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from millstream._core import WindowBatch
from millstream._hooks import ModelHooks, synthetic_batch
from millstream._pool import blas, gil

_log = logging.getLogger("millstream.predict")


class ThreadHooks(ModelHooks):
    """The hooks of a model whose workers are threads."""

    _limits: Any = None

    def start(self) -> None:
        """Do nothing: the engine starts the threads."""

    def open(self) -> list[Callable[[WindowBatch], Any]]:
        """Load the model; return what each worker calls."""
        spec, calls = self._spec, super().open()
        threads = blas.threads_each(spec.workers)
        if threads is not None:
            self._limits = blas.limit_loaded(threads)
            if self._limits is not None:
                _log.info(blas.said(spec.name, spec.workers, threads))
                calls = [_limited(call, threads) for call in calls]
        if spec.workers > 1 and hasattr(spec.target, "warmup"):
            share = gil.held_share((calls[0], calls[1]), synthetic_batch(spec))
            if gil.is_held(share):
                _log.warning(gil.said(spec.name))
        return calls

    def close(self) -> None:
        """Give the libraries their threads back, and close the model."""
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.restore_original_limits()
        super().close()


def _limited(call: Callable[[WindowBatch], Any], threads: int) -> Callable[[WindowBatch], Any]:
    # OpenMP keeps its limit for each thread.
    limited = threading.local()

    def predict(batch: WindowBatch) -> Any:
        if not hasattr(limited, "here"):
            blas.limit_loaded(threads)
            limited.here = True
        return call(batch)

    return predict
