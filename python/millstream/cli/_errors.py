"""How a command ends that cannot do what it was asked for: one line, and a traceback only of the user's code.

Exit code 2 for a user's mistake, 1 for all else.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from millstream.cli._traceback import their_traceback
from millstream.errors import ConfigError, MillstreamError

_FAILED = 1
_OF_CLICK = (click.ClickException, click.exceptions.Exit, click.Abort)


class Mistake(click.ClickException):
    """Something that the user typed is wrong."""

    exit_code = 2


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors of Millstream into one line; what a model raises keeps its traceback, with our frames cut.

    Raises:
        click.ClickException: In place of a MillstreamError.
        SystemExit: In place of an exception of the user's code, which has been printed.
        Exception: One that has no frame but ours: an error in Millstream.
    """
    try:
        yield
    except _OF_CLICK:
        raise
    except ConfigError as error:
        raise Mistake(str(error)) from None
    except MillstreamError as error:
        if error.__cause__ is not None and not isinstance(error.__cause__, MillstreamError):
            print_traceback(error.__cause__)
        raise click.ClickException(str(error)) from None
    except Exception as error:
        broken_pipe = isinstance(error, OSError) and error.errno == errno.EPIPE
        if broken_pipe or not print_traceback(error):
            raise
        raise SystemExit(_FAILED) from None


def print_traceback(error: BaseException) -> bool:
    """Print what the user's code raised, without our frames; False where there is nothing of it to print."""
    text = their_traceback(error)
    if text is not None:
        click.echo(text, err=True)
    return text is not None
