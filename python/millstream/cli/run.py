"""`millstream run module:app`: the same as `app.run()`, with a banner, progress and a summary."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import click
from rich.console import Console

from millstream import _params
from millstream.cli._errors import one_line_errors
from millstream.cli._live import LiveScreen
from millstream.cli._log import LogScreen, errors_as_records
from millstream.cli._screen import Metrics, Screen
from millstream.cli._target import load_app
from millstream.cli._web import serve
from millstream.errors import ConfigError

_SIGINT_CODE = 130


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--until", type=click.Choice(["end"]), help="Stop at the ends that the sources have now.")
@click.option("--drain", is_flag=True, help="Also emit the windows still open there; needs --until end.")
@click.option("--web", metavar="HOST:PORT", help="Where the status page is; 127.0.0.1:6066 if not said.")
@click.option("--no-web", is_flag=True, help="Serve no status page.")
@click.option("--adopt", is_flag=True, help="Take a changed app on where its group stands.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Given to load(self, params), as JSON or text; may be repeated.",
)
@click.option("--log-json", is_flag=True, help="Say everything as log records, one JSON object a line.")
def run(
    target: str,
    until: Literal["end"] | None,
    drain: bool,
    web: str | None,
    no_web: bool,
    adopt: bool,
    params: tuple[str, ...],
    log_json: bool,
) -> None:
    """Run an App, such as activity:app for `app` in activity.py.

    In a terminal figures of models and partitions are shown live, elsewhere a line every 10 s. Ctrl-C lets
    running model calls finish, commits and returns; a second one gives up at once.
    """
    with one_line_errors():
        app = load_app(target)
        serve(app, web, off=no_web)
        plan = app._plan()
        screen = _screen(plan["name"], app.metrics, log_json=log_json)
        _log_to(screen, force=log_json)
        with errors_as_records(plan["name"]) if log_json else nullcontext():
            ran = True
            try:
                screen.banner(plan)
                app._run(until, drain=drain, adopt=adopt, params=_params.parse(params), tick=screen.tick)
            except ConfigError:
                ran = False
                raise
            except KeyboardInterrupt:
                raise SystemExit(_SIGINT_CODE) from None
            finally:
                screen.close()
                if ran:
                    screen.summary()


def _screen(app: str, metrics: Callable[[], Metrics], *, log_json: bool) -> Screen:
    console = Console(stderr=True)
    if log_json:
        return LogScreen(app, console, metrics)
    live = console.is_interactive and console.file.isatty()
    return LiveScreen(console, metrics) if live else Screen(console, metrics)


def _log_to(screen: Screen, *, force: bool) -> None:
    # Without force this does nothing where the user's module has set logging up.
    logging.basicConfig(handlers=[screen.log_handler()], force=force)
    logger = logging.getLogger("millstream")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
