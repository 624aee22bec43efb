"""One run of an app on a thread of its own: started without waiting, stopped in order, its error kept."""

import atexit
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress

from millstream._core import Engine
from millstream.errors import MillstreamError

_log = logging.getLogger("millstream.run")
# How long the thread may take to end once the run is given up: by then what a model holds is left behind.
_GIVEN_UP_S = 5.0


class Background:
    """A run that has been started.

    Args:
        app: The name of the app.
        engine: Ready to run.
        running: What counts the app as running; closed when the run has ended.
        run: Runs the engine until it is stopped.
    """

    def __init__(self, app: str, engine: Engine, running: ExitStack, run: Callable[[], None]) -> None:
        self._app = app
        self._engine = engine
        self._running = running
        self._run = run
        self._error: BaseException | None = None
        # A daemon, or the interpreter would wait for it before it calls what is registered below.
        self._thread = threading.Thread(target=self._body, name=f"millstream-run-{app}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            running.close()
            raise
        atexit.register(self._at_exit)

    @property
    def alive(self) -> bool:
        """Whether the run has not ended."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float | None) -> None:
        """End the run, wait for it, and raise what it ended with, once.

        Args:
            timeout_s: Then it is given up; None leaves that to the app's `drain_timeout`.

        Raises:
            MillstreamError: It has not ended even though it was given up.
            BaseException: What ended the run.
        """
        self._engine.stop()
        try:
            self._thread.join(timeout_s)
        except KeyboardInterrupt:
            self._engine.abort()
            raise
        if self._thread.is_alive():
            _log.warning("the stop took longer than its timeout: given up", extra={"app": self._app})
            self._engine.abort()
            self._thread.join(_GIVEN_UP_S)
        if self._thread.is_alive():
            raise MillstreamError(
                f"App({self._app!r}) has not stopped: a model is in a call or load() that does not return"
            )
        atexit.unregister(self._at_exit)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _body(self) -> None:
        try:
            with self._running:
                self._run()
        except BaseException as error:
            self._error = error
            # Nobody may ask for a long time.
            text = f"App({self._app!r}) has ended with an error: {type(error).__name__}: {error}"
            _log.error(text, exc_info=error, extra={"app": self._app})

    def _at_exit(self) -> None:
        # What ended the run has been logged; at the exit nobody is left to catch it.
        with suppress(BaseException):
            self.stop(None)
