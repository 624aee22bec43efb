"""Calls that load a model: told of while they last, and given up where they may take only so long."""

import logging
import threading
import time
from collections.abc import Callable

_TELL_S = 30.0

_log = logging.getLogger("millstream.model")


def load(model: str, call: str, body: Callable[[], None], timeout_ms: int | None) -> bool:
    """Run a call that loads a model; every 30 s a warning says that it still does.

    Without a time-out it runs on this thread, as libraries expect that want to be set up on the main one.
    With one it runs on a thread of its own, since only that can be left behind.

    Args:
        model: Its name.
        call: What the user knows the call as: `"load"`.
        body: The call.
        timeout_ms: How long it may take; None is as long as it likes.

    Returns:
        Whether it has returned in time. If not, what it works on is not to be touched any more.

    Raises:
        BaseException: What the call raised, as it is.
    """
    if timeout_ms is None:
        done = threading.Event()
        watch = threading.Thread(
            target=_tell, args=(model, call, done), name="millstream-load-watch", daemon=True
        )
        watch.start()
        try:
            body()
        finally:
            done.set()
            watch.join()
        return True
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            body()
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name=f"millstream-load-{model}", daemon=True).start()
    if not _tell(model, call, done, timeout_ms / 1000):
        return False
    if raised:
        raise raised[0]
    return True


def _tell(model: str, call: str, done: threading.Event, limit_s: float = float("inf")) -> bool:
    """Wait for the end of a call, and say now and then that it has not come; False where it took too long."""
    began = told = time.monotonic()
    while not done.is_set():
        now = time.monotonic()
        if now - began >= limit_s:
            return False
        if now - told >= _TELL_S:
            told = now
            _log.warning("%s of model %r has been running for %.0f s", call, model, now - began)
        done.wait(min(told + _TELL_S - now, began + limit_s - now))
    return True
