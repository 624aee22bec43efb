"""`millstream run module:app`: the same as `app.run()`, with a banner, progress and a summary."""

import logging
from typing import Literal

import click
from rich.console import Console

from millstream.cli._errors import one_line_errors
from millstream.cli._screen import Screen
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
def run(
    target: str, until: Literal["end"] | None, drain: bool, web: str | None, no_web: bool, adopt: bool
) -> None:
    """Run an App, such as activity:app for `app` in activity.py.

    Ctrl-C lets running model calls finish, commits and returns; a second one gives up at once.
    """
    with one_line_errors():
        app = load_app(target)
        serve(app, web, off=no_web)
        _log_to_stderr()
        screen = Screen(Console(stderr=True), app.metrics)
        screen.banner(app._plan())
        ran = True
        try:
            app._run(until, drain=drain, adopt=adopt, tick=screen.tick)
        except ConfigError:
            ran = False
            raise
        except KeyboardInterrupt:
            raise SystemExit(_SIGINT_CODE) from None
        finally:
            if ran:
                screen.summary()


def _log_to_stderr() -> None:
    # Does nothing where the user's module has set logging up.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logger = logging.getLogger("millstream")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
