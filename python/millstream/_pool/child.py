"""What runs in a process of a model: it loads its own instance, and answers one batch after another."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from millstream._core import EventBatch, WindowBatch, unpack_batch, unpack_events
from millstream._events import EventModelSpec
from millstream._hooks import ModelHooks
from millstream._model import ModelSpec
from millstream._pool import blas
from millstream._pool.failure import Failure
from millstream._pool.segment import Segment

# Characters that the kernel keeps of a name.
_SHOWN = 15
# How often a child looks at who its parent is, should another process hold the pipe between them open.
_LOOK_SECONDS = 1.0


def serve(pipe: Connection, segment: Segment, packed: bytes, shown: str, threads: int | None) -> None:
    """Answer the parent until it says the end or is gone.

    Args:
        pipe: Takes the sizes of batches, and gives an outcome and a value for each.
        segment: Where the batches are.
        packed: The ModelSpec and the parameters of the run, pickled here so that a model that cannot be
            imported is told of as such.
        shown: The name of the process for `ps` and `top`.
        threads: Most threads of BLAS and OpenMP libraries; None for any number.
    """
    # A stop is the parent's business. Terminals and service managers send their signals to all processes.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(shown[:_SHOWN])
    threading.Thread(target=_end_with_parent, name="millstream-parent", daemon=True).start()
    if threads is not None:
        blas.limit_process(threads)
    # A parent that has gone away wants no answer.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _serve(pipe, segment, packed, threads)


def _serve(pipe: Connection, segment: Segment, packed: bytes, threads: int | None) -> None:
    try:
        spec, params = _unpacked(packed)
    except BaseException as error:
        return _say(pipe, "unimportable", Failure.of(error))
    hooks = ModelHooks(spec, params)
    try:
        (predict,) = hooks.open()
        if threads is not None:
            blas.limit_loaded(threads)
    except BaseException as error:
        return _say(pipe, "raised", Failure.of(error))
    _say(pipe, "ready", None)
    try:
        while (size := pipe.recv()) is not None:
            pipe.send_bytes(_answer(spec, predict, segment, size))
    finally:
        closed: tuple[str, Failure | None] = ("closed", None)
        try:
            hooks.close()
        except BaseException as error:
            closed = ("raised", Failure.of(error))
    return _say(pipe, *closed)


def _unpacked(packed: bytes) -> tuple[ModelSpec, dict[str, Any] | None]:
    spec, params = pickle.loads(packed)
    return spec, params


def _answer(spec: ModelSpec, predict: Callable[..., Any], segment: Segment, size: int) -> bytes:
    process, source = os.getpid(), spec.source
    packed, fields, context = segment.view(size), list(source.fields), list(source.context)
    batch: WindowBatch | EventBatch
    if isinstance(spec, EventModelSpec):
        batch = unpack_events(packed, fields, context)
    else:
        batch = unpack_batch(packed, fields, context, spec.pad_batch_to)
    try:
        answer = ("returned", predict(batch))
    except BaseException as error:
        answer = ("raised", Failure.of(error))
    if os.getpid() != process:
        # A process that the model has forked comes out of the call here, too: nobody waits for its answer.
        os._exit(0)
    try:
        return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        kind = type(answer[1]).__name__
        text = (
            f"predict of model {spec.name} returned a {kind} that cannot be pickled ({error}): with "
            'pool="processes" results come from another process; return arrays, lists, dicts or a frame'
        )
        return pickle.dumps(("unusable", text))


def _say(pipe: Connection, outcome: str, value: object) -> None:
    pipe.send_bytes(pickle.dumps((outcome, value)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    while parent is not None and os.getppid() == parent.pid:
        if connection.wait([parent.sentinel], _LOOK_SECONDS):
            break
    os._exit(1)
