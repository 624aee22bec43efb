"""Batches and windows drawn with matplotlib, which is imported only when asked for."""

from importlib import import_module
from typing import Any

import numpy as np

from millstream._core import Window, WindowBatch

# Inches.
_WIDTH = 8.0
_HEIGHT = 1.8


def of_batch(batch: WindowBatch, windows: int) -> Any:
    """Return a figure with the first windows, one below the other."""
    shown = min(windows, len(batch))
    if shown < 1:
        raise ValueError(f"plot() of {windows} windows of a batch of {len(batch)}: there is nothing to draw")
    figure, axes = _pyplot().subplots(
        shown, 1, figsize=(_WIDTH, _HEIGHT * shown), squeeze=False, layout="constrained"
    )
    for index in range(shown):
        of_window(batch[index], axes[index, 0])
    return figure


def of_window(window: Window, ax: Any | None) -> Any:
    """Return the axes, with a line per field."""
    if ax is None:
        ax = _pyplot().subplots(figsize=(_WIDTH, 2 * _HEIGHT), layout="constrained")[1]
    try:
        xs: Any = window.timestamps.astype("datetime64[ms]")
        ax.set_xlim(np.datetime64(window.start, "ms"), np.datetime64(window.end, "ms"))
        ax.set_xlabel("event time (UTC)")
    except AttributeError:
        # Declared with timestamps=False: the events in their order.
        xs = np.arange(len(window))
        ax.set_xlabel("event")
    for name in window.names:
        ax.plot(xs, window[name], marker=".", markersize=3, linewidth=1, label=name)
    ax.set_title(f"{window.key!s}, {len(window)} events", fontsize="medium", loc="left", parse_math=False)
    if window.names:
        ax.legend(loc="upper right", fontsize="small")
    return ax


def _pyplot() -> Any:
    try:
        return import_module("matplotlib.pyplot")
    except ModuleNotFoundError as error:
        problem = "plot() needs matplotlib, which is not installed: pip install 'millstream[plot]'"
        raise ModuleNotFoundError(problem, name=error.name) from error
