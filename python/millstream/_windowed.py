"""Models with `batch=False`: a call for each window, and which window it was where one of them fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from millstream._core import Window, WindowBatch

MOST_AT_ONCE = 64

# Which of these end the run after all is the engine's to say.
_FAILURES = (Exception, SystemExit, KeyboardInterrupt)


class WindowFailed(Exception):
    """Tells the engine which window of a batch a model failed on; the exception itself is its cause."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def each(predict: Callable[[Window], Any]) -> Callable[[WindowBatch], list[Any]]:
    """Return what calls `predict` window by window, up to the first that it fails on."""

    def predict_each(batch: WindowBatch) -> list[Any]:
        rows = []
        for index, window in enumerate(batch):
            try:
                rows.append(predict(window))
            except _FAILURES as error:
                raise WindowFailed(index) from _named(error, window)
        return rows

    return predict_each


def each_async(
    predict: Callable[[Window], Awaitable[Any]],
) -> Callable[[WindowBatch], Awaitable[list[Any]]]:
    """Return what awaits `predict` for the windows of a batch side by side, MOST_AT_ONCE at the most.

    Where one fails, the others are awaited to their end all the same.
    """

    async def predict_each(batch: WindowBatch) -> list[Any]:
        places = asyncio.Semaphore(MOST_AT_ONCE)
        failed: dict[int, BaseException] = {}

        async def one(index: int, window: Window) -> Any:
            async with places:
                try:
                    return await predict(window)
                except _FAILURES as error:
                    failed[index] = _named(error, window)

        rows = await asyncio.gather(*(one(index, window) for index, window in enumerate(batch)))
        if failed:
            index = min(failed)
            raise WindowFailed(index) from failed[index]
        return rows

    return predict_each


def _named(error: BaseException, window: Window) -> BaseException:
    note = f"in the window {window.key!r} [{window.start}, {window.end})"
    # A model may raise the same exception twice.
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error
