"""Workers that are processes: started, given batches, and replaced when they end or take too long."""

import atexit
import logging
import pickle
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from millstream import _check
from millstream._adapted import Adapted
from millstream._model import ModelSpec
from millstream._pool import blas
from millstream._pool.worker import Ended, Worker
from millstream.errors import ModelError

_log = logging.getLogger("millstream.predict")

# Processes of a model that may end in a row without a call that returned. To find one window among 2^20 that
# ends them takes 23.
_MOST_LOST = 32
_LOST_WITHIN = 60.0


class Losses:
    """Counts processes that were lost in a row, over all workers of a model."""

    def __init__(self, timeout: float | None) -> None:
        self._within = _LOST_WITHIN + (timeout or 0)
        self._lock = threading.Lock()
        self._count = 0
        self._last = 0.0

    def another(self) -> int | None:
        """Count one; returns how many there were where that is too many."""
        with self._lock:
            now = time.monotonic()
            self._count = self._count + 1 if now - self._last < self._within else 1
            self._last = now
            return self._count if self._count >= _MOST_LOST else None

    def none(self) -> None:
        """A call has come back."""
        self._count = 0


class ProcessHooks:
    """The hooks of a model whose workers are processes, each with its own instance."""

    def __init__(self, spec: ModelSpec, params: dict[str, Any] | None = None) -> None:
        self._spec = spec
        self._params = params
        self._workers: list[Worker] = []

    def start(self) -> None:
        """Start the processes; they load the model beside each other.

        Raises:
            ConfigError: The model cannot be imported by another process.
        """
        spec = self._spec
        packed = _packed(spec, self._params)
        threads = blas.threads_each(spec.workers)
        timeout = None if spec.timeout_ms is None else spec.timeout_ms / 1000
        losses = Losses(timeout)
        atexit.register(self.cancel)
        for index in range(spec.workers):
            worker = Worker(spec.name, index, packed, threads, timeout, losses)
            self._workers.append(worker)
            worker.start()
        if threads is not None:
            _log.info(blas.said(spec.name, spec.workers, threads))

    def open(self) -> list[Worker]:
        """Wait until all of them have loaded the model; return what each worker calls.

        Raises:
            ConfigError: The model cannot be imported in them.
            ModelError: One of them ended.
            Exception: What `load` or `warmup` raised.
        """
        name = self._spec.name
        for worker in self._workers:
            try:
                outcome, value = worker.first_word()
            except Ended as ended:
                raise ModelError(
                    f"a process of model {name!r} {ended} before the model was loaded; "
                    "what it has written to stderr says more"
                ) from None
            if outcome == "unimportable":
                raise _check.refusal(
                    f"model {name!r} pool",
                    self._spec.pool,
                    f"a process of its own cannot import the model ({value.text})",
                    'define it at the top level of a module or script, not below if __name__ == "__main__"',
                ) from value.exception(name)
            if outcome == "raised":
                raise value.exception(name)
        return self._workers

    def cancel(self) -> None:
        """End the processes at once, whatever they are doing."""
        for worker in self._workers:
            worker.kill()

    def close(self) -> None:
        """Have the instances closed and end the processes; then raise the first exception of a `close`."""
        atexit.unregister(self.cancel)
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.ask_to_close()
        raised = [failure for worker in workers if (failure := worker.close()) is not None]
        if raised:
            raise raised[0].exception(self._spec.name)


def _packed(spec: ModelSpec, params: dict[str, Any] | None) -> bytes:
    """Return what a process loads the model from: its name; an estimator is pickled itself."""
    setting, target = f"model {spec.name!r} pool", spec.target
    what, code = ("features", target.features) if isinstance(target, Adapted) else ("the model", target)
    if getattr(code, "__module__", None) == "__main__" and not _main_is_a_file():
        raise _check.refusal(
            setting,
            spec.pool,
            f"{what} was defined in a notebook, at a prompt or by python -c, "
            "from where no other process can import it",
            "move it into a file, models.py, and write from models import it; or use pool='threads'",
        )
    try:
        pickle.dumps(code)
    except Exception as error:
        raise _check.refusal(
            setting,
            spec.pool,
            f"{what} cannot be imported by its name ({_line(error)})",
            "define it at the top level of a module, under its own name; or use pool='threads'",
        ) from error
    try:
        return pickle.dumps((replace(spec, workers=1, per_worker=False, pool="threads"), params))
    except Exception as error:
        raise _check.refusal(
            setting,
            spec.pool,
            f"the model or its params cannot be pickled ({_line(error)})",
            "write a class that makes in load(self) what cannot be; or use pool='threads'",
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _main_is_a_file() -> bool:
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    return getattr(main, "__spec__", None) is not None or (file is not None and Path(file).exists())
