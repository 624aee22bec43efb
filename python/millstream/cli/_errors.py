"""Millstream's errors as one line on the terminal, with exit code 2 for a user's mistake and 1 for others."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from millstream.errors import ConfigError, MillstreamError


class Mistake(click.ClickException):
    """Something that the user typed is wrong."""

    exit_code = 2


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors of Millstream into one line; what a model raises keeps its traceback.

    Raises:
        click.ClickException: In place of a MillstreamError.
    """
    try:
        yield
    except ConfigError as error:
        raise Mistake(str(error)) from None
    except MillstreamError as error:
        raise click.ClickException(str(error)) from None
