"""What a model may not do to the process: go on in a fork, take signals over, end the program."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from millstream._signals import Terminated
from millstream.errors import ModelError

_log = logging.getLogger("millstream.model")


@contextmanager
def contained(model: str, call: str) -> Iterator[None]:
    """Run a call of a model on the thread that called `run()`; `call` is what the user knows it as.

    Raises:
        ModelError: It called `sys.exit`.
    """
    process, handlers = os.getpid(), _handlers()
    try:
        yield
    except BaseException as error:
        if os.getpid() != process:
            end_child(model, error)
        if isinstance(error, SystemExit) and not isinstance(error, Terminated):
            raise ModelError(
                f"{call} of model {model!r} ended the program with {error!r}; raise what says why"
            ) from error
        raise
    else:
        if os.getpid() != process:
            end_child(model, None)
    finally:
        _put_back(model, call, handlers)


def end_child(model: str, raised: BaseException | None) -> NoReturn:
    """End a process that a model has forked, when it comes back from the model.

    It is a copy of the engine without its threads. Where the model has ended it with `sys.exit`, that is its
    exit code; else there is a line on standard error, and the code is 1.
    """
    code = raised.code if isinstance(raised, SystemExit) else 1
    if not isinstance(raised, SystemExit):
        end = "returned" if raised is None else f"raised {raised!r}"
        fix = "end it with os._exit, or use subprocess or multiprocessing"
        line = f"millstream: a child that model {model!r} has forked {end}, and was ended; {fix}\n"
        with suppress(OSError):
            os.write(2, line.encode(errors="replace"))
    os._exit(code if isinstance(code, int) else int(code is not None))


def _handlers() -> dict[signal.Signals, object]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}


def _put_back(model: str, call: str, handlers: dict[signal.Signals, object]) -> None:
    for number, handler in handlers.items():
        # None is a handler that was not set from Python; that cannot be put back.
        if signal.getsignal(number) is handler or not (callable(handler) or isinstance(handler, int)):
            continue
        signal.signal(number, handler)
        _log.warning(
            "%s of model %r changed the handler of %s; the one before it is back, so that a stop is in order",
            call,
            model,
            number.name,
        )
