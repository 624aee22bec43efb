"""One process of a model as the thread that owns it sees it: a batch in, an outcome out, whatever happens."""

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from millstream._pool import child
from millstream._pool.failure import Failure
from millstream._pool.inside import PREFIX
from millstream._pool.segment import Segment

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from millstream._pool.processes import Losses

_log = logging.getLogger("millstream.predict")
_SPAWN = multiprocessing.get_context("spawn")
_STARTING = threading.Lock()

# How long the `close` of an instance may take, then how long a process may take to end.
_CLOSE_SECONDS = 30.0
_END_SECONDS = 5.0


class Ended(Exception):
    """The process has ended; the message says how, to go on from "the process"."""


class TimedOut(Exception):
    """The process has not answered in time."""


class Worker:
    """A process of a model, and those that come after it."""

    def __init__(
        self,
        model: str,
        index: int,
        packed: bytes,
        threads: int | None,
        timeout: float | None,
        losses: "Losses",
    ) -> None:
        self._model = model
        self._index = index
        self._packed = packed
        self._threads = threads
        self._timeout = timeout
        self._losses = losses
        self._segment = Segment.create()
        self._calling = threading.Lock()
        # Held while the process changes, so that none is started behind the back of who ends them.
        self._changing = threading.Lock()
        self._closing = False
        self._loaded = False
        self._replaced = 0
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._end: int | None = None

    def start(self) -> None:
        """Start a process, which then loads the model.

        Raises:
            Ended: The run is over.
        """
        ours, theirs = _SPAWN.Pipe()
        shown = f"{self._model[:12]}-{self._index}"
        with self._changing, _STARTING, _signals_held_back():
            if self._closing:
                ours.close()
                theirs.close()
                raise Ended("is not needed any more")
            self._process = _SPAWN.Process(
                target=child.serve,
                name=f"{PREFIX}{self._model}-{self._index}",
                args=(theirs, self._segment, self._packed, shown, self._threads),
            )
            self._process.start()
            theirs.close()
            self._pipe, self._loaded = ours, False
            # The sentinel of a process stays open where the model has forked another one.
            with contextlib.suppress(OSError, AttributeError):
                self._end = os.pidfd_open(self._process.pid or 0)

    def first_word(self) -> tuple[str, Any]:
        """Wait until the model is loaded; returns `"ready"`, or how it went wrong, and a Failure.

        Raises:
            Ended: The process has.
        """
        word = self._receive(None)
        self._loaded = word[0] == "ready"
        return word

    def segment(self, size: int) -> NDArray[np.uint8]:
        """Return where a batch of this size is to be written for the next call."""
        return self._segment.view(size)

    def __call__(self, size: int, windows: int) -> tuple[str, Any, int]:
        """Have the batch in the segment predicted.

        Args:
            size: Bytes of the batch.
            windows: Its windows, for messages.

        Returns:
            What came of it: `"returned"` with the result, `"raised"` with the exception, `"unusable"`,
            `"lost"`, `"broken"` or `"ended"` with a text; then how many processes were replaced.
        """
        with self._calling:
            try:
                outcome, value = self._answer(size, windows)
            except Ended as ended:
                outcome, value = "ended", f"the run of model {self._model} is over: its process {ended}"
            if outcome == "raised":
                value = value.exception(self._model)
            replaced, self._replaced = self._replaced, 0
        return outcome, value, replaced

    def _answer(self, size: int, windows: int) -> tuple[str, Any]:
        if self._has_ended():
            how = self._how_it_ended()
            _log.warning("a process of model %s %s between two calls, and is replaced", self._model, how)
            self._replace()
        while not self._loaded:
            # No window is to blame for what happens before it is seen.
            try:
                outcome, failure = self.first_word()
            except Ended as ended:
                outcome, text = self._lose(f"{ended} while it loaded the model")
                if outcome != "lost":
                    return outcome, text
                continue
            if outcome != "ready":
                text = f"model {self._model} cannot be loaded again after one of its processes was lost"
                return "broken", f"{text}: {failure.text}"
        call = f"in a call of predict on {windows} windows"
        try:
            self._send(size)
            answer = self._receive(self._timeout)
        except Ended as ended:
            return self._lose(f"{ended} {call}")
        except TimedOut:
            limit = (self._timeout or 0) * 1000
            return self._lose(f"was ended, as it had not returned within timeout={limit:.0f}ms {call}")
        self._losses.none()
        return answer

    def _lose(self, how: str) -> tuple[str, str]:
        if self._closing:
            raise Ended(how)
        text = f"the process of model {self._model} {how}"
        many = self._losses.another()
        if many is not None:
            return (
                "broken",
                f"{many} processes in a row ended without a call that returned; the last one: {text}",
            )
        self._replace()
        return "lost", text

    def _replace(self) -> None:
        self._reap()
        self._replaced += 1
        self.start()

    def _send(self, message: int | None) -> None:
        try:
            if self._pipe is not None:
                self._pipe.send(message)
        except OSError:
            raise Ended(self._how_it_ended()) from None

    def _receive(self, timeout: float | None) -> tuple[str, Any]:
        pipe, process = self._pipe, self._process
        if pipe is None or process is None:
            raise Ended("was not started")
        end = process.sentinel if self._end is None else self._end
        ready = connection.wait([pipe, end], timeout)
        if not ready:
            raise TimedOut
        try:
            # What it has said before it ended counts.
            if pipe not in ready and not pipe.poll():
                raise EOFError
            said = pipe.recv_bytes()
        except (EOFError, OSError):
            raise Ended(self._how_it_ended()) from None
        try:
            answer: tuple[str, Any] = pickle.loads(said)
        except Exception as error:
            text = f"predict of model {self._model} returned what cannot be unpickled here ({error})"
            return "unusable", text
        return answer

    def _has_ended(self) -> bool:
        return self._process is None or self._process.exitcode is not None

    def _how_it_ended(self) -> str:
        process = self._process
        if process is None:
            return "was ended"
        code = self._exit_code(process)
        if code is None:
            return "closed its pipe"
        if code >= 0:
            return f"ended with exit code {code}"
        text = f"was ended by {_signal_name(-code)}"
        return f"{text}, as happens where memory runs out," if -code == signal.SIGKILL else text

    def _exit_code(self, process: "SpawnProcess") -> int | None:
        until = time.monotonic() + _END_SECONDS
        # Another thread that starts a process looks at those of all, and may be the one that is told.
        while (code := process.exitcode) is None and time.monotonic() < until:
            time.sleep(0.001)
        return code

    def _reap(self) -> None:
        """End the process, if it has not, and let go of what belongs to it."""
        with self._changing:
            process, pipe, end = self._process, self._pipe, self._end
            self._process = self._pipe = self._end = None
        if process is not None:
            process.kill()
            if self._exit_code(process) is not None:
                with _STARTING:
                    process.close()
        if pipe is not None:
            pipe.close()
        if end is not None:
            os.close(end)

    def kill(self) -> None:
        """End the process at once, and start no other; from any thread."""
        with self._changing:
            self._closing = True
            if self._process is not None:
                self._process.kill()

    def ask_to_close(self) -> None:
        """Have the instance closed, where there is one that is not in a call."""
        self._closing = True
        if self._calling.acquire(blocking=False):
            if self._loaded:
                with contextlib.suppress(Ended):
                    self._send(None)
            else:
                self.kill()
            self._calling.release()
        else:
            self.kill()

    def close(self) -> Failure | None:
        """Wait until the instance is closed, end the process; returns what `close` raised."""
        outcome, value = "closed", None
        if not self._calling.acquire(timeout=_END_SECONDS):
            _log.warning("a process of model %s cannot be ended", self._model)
            return None
        try:
            outcome, value = self._receive(_CLOSE_SECONDS)
            if self._process is not None:
                self._exit_code(self._process)
        except Ended:
            pass
        except TimedOut:
            _log.warning(
                "close of model %s took longer than %g s: its process is ended", self._model, _CLOSE_SECONDS
            )
        self._reap()
        self._segment.close()
        self._calling.release()
        return value if outcome == "raised" and isinstance(value, Failure) else None


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({signal.strsignal(number)})"
    except ValueError:
        return f"signal {number}"


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """A process that is started meanwhile gets no signal before it can ignore it."""
    # The tracker lets them through again when it is started.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
