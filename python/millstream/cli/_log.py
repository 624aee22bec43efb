"""`millstream run --log-json`: everything that the command says as log records, one JSON object a line."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from millstream.cli._screen import Metrics, Screen
from millstream.errors import ConfigError
from millstream.logging import JsonFormatter

_log = logging.getLogger("millstream.run")


class LogScreen(Screen):
    """Banner, progress and summary as records of `millstream.run`.

    Args:
        app: The name of the app.
        console: Whose file the records go to.
        metrics: Returns the counters of the run.
    """

    def __init__(self, app: str, console: Console, metrics: Callable[[], Metrics]) -> None:
        super().__init__(console, metrics)
        self._app = app

    def log_handler(self) -> logging.Handler:
        """Return what writes log records as JSON."""
        handler = logging.StreamHandler(self._console.file)
        handler.setFormatter(JsonFormatter())
        return handler

    def _print(self, line: str | Text) -> None:
        _log.info("%s", str(line).strip(), extra={"app": self._app})


@contextmanager
def errors_as_records(app: str) -> Iterator[None]:
    """Log what ends the run, with its traceback where it is the model's, in place of raising it.

    Raises:
        SystemExit: Code 2 for a user's mistake, 1 for anything else.
    """
    try:
        yield
    except ConfigError as error:
        _log.error("%s", error, extra={"app": app})
        raise SystemExit(2) from None
    except Exception as error:
        _log.error("%s: %s", type(error).__name__, error, exc_info=error, extra={"app": app})
        raise SystemExit(1) from None
