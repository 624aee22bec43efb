"""Tracebacks of a user's own code, without the frames of Millstream, click and the import system."""

import importlib
import inspect
import os
import traceback

import click

# The directories of Millstream, click and importlib, and modules that are frozen into the interpreter.
_MILLSTREAM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_CLICK, _IMPORTLIB = (os.path.dirname(inspect.getfile(package)) for package in (click, importlib))
_OURS = (*(f"{folder}{os.sep}" for folder in (_MILLSTREAM, _CLICK, _IMPORTLIB)), "<frozen importlib")


def their_traceback(error: BaseException) -> str | None:
    """Return the traceback of an exception without our frames; None where no other frame is in it.

    Args:
        error: The exception, with its causes.
    """
    told = traceback.TracebackException.from_exception(error)
    left = _cut(told)
    if not left and not isinstance(error, SyntaxError):
        return None
    return "".join(told.format()).rstrip("\n")


def _cut(told: traceback.TracebackException) -> int:
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_OURS)]
    left = len(told.stack)
    for cause in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if cause is not None:
            left += _cut(cause)
    return left
