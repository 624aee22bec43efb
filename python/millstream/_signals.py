"""SIGINT and SIGTERM while an app runs: the first one stops it in order, the second one at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """What a signal acts on."""

    def stop(self) -> None:
        """Finish the calls that are running, commit, return."""

    def abort(self) -> None:
        """Give up at once."""


class Terminated(SystemExit):
    """A second signal has ended the program, not a model that called `sys.exit`."""


@contextmanager
def stop_on_signals(engine: Stoppable) -> Iterator[None]:
    """Turn the first signal into `stop()` and any further one into `abort()`, and put the handlers back.

    Off the main thread, where Python allows no handlers, this does nothing. A signal that is ignored, or
    whose handler Python could not put back, is left as it is.

    Raises:
        KeyboardInterrupt: Aborted by SIGINT.
        SystemExit: Aborted by SIGTERM, with code 143.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopping = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            engine.stop()
            return
        engine.abort()
        # Raised here, so that a `load` that hangs is interrupted too.
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(128 + number)

    previous = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)
    }
    try:
        for number in previous:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
