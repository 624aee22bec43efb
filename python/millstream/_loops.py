"""The event loop of a worker: what an async model returns is awaited to its end on the thread that called."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_LEFT_OVER_S = 5.0


def is_async(function: object) -> bool:
    """Return whether a call of `function` has to be awaited."""
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function)
        and not isinstance(function, type)
        and inspect.iscoroutinefunction(type(function).__call__)
    )


class WorkerLoop:
    """One event loop, run by one thread at a time, and only as long as there is something to await."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Future[Any] | None = None
        self._cancelled = False

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function`, await what it returns where that is to be awaited, and return what comes of it."""
        result = function(*arguments)
        if not inspect.isawaitable(result):
            return result
        self._task = asyncio.ensure_future(result, loop=self._loop)
        if self._cancelled:
            self._task.cancel()
        try:
            return self._loop.run_until_complete(self._task)
        finally:
            self._task = None

    def cancel(self) -> None:
        """Cancel the call that is awaited, and those to come until `settle`; from any thread."""
        self._cancelled = True
        # A loop that is closed awaits nothing.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel_task)

    def settle(self) -> bool:
        """Take calls again after `cancel`; False where one still holds the loop, which is out of reach then."""
        self._cancelled = False
        return not self._loop.is_running()

    def close(self) -> None:
        """Cancel what a model has left running and close the loop, unless a call still holds it."""
        if self._loop.is_running() or self._loop.is_closed():
            return
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=_LEFT_OVER_S))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _cancel_task(self) -> None:
        if self._cancelled and self._task is not None:
            self._task.cancel()
