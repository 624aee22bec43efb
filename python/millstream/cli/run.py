"""`millstream run module:app`: the same as `app.run()`, with a banner, progress and a summary."""

import logging
from typing import Literal

import click
from rich.console import Console

from millstream import App, _overrides
from millstream.cli._errors import one_line_errors
from millstream.cli._json_screen import JsonScreen, QuietScreen
from millstream.cli._screen import Screen
from millstream.cli._target import app_argument, load_app
from millstream.errors import ConfigError

_SIGINT_CODE = 130
_EXAMPLE = """\b
Examples:
  millstream run activity:app
  millstream run -A activity:app --lanes 2 --set activity.workers=4
  millstream run activity:app --until end --drain --json"""


@click.command(epilog=_EXAMPLE)
@app_argument
@click.option("--until", type=click.Choice(["end"]), help="Stop at the ends that the sources have now.")
@click.option("--drain", is_flag=True, help="Also emit the windows still open there; needs --until end.")
@click.option("--adopt", is_flag=True, help="Take a changed app on where its group stands.")
@click.option("--lanes", type=int, metavar="N", help="Group members in this process, over App(lanes=).")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="MODEL.KEY=VALUE",
    help="Over @app.model(KEY=): workers, max_batch, max_batch_events, target, timeout, retries, on_error or "
    "late.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line to standard output.")
@click.option("--quiet", is_flag=True, help="Print warnings and errors alone.")
def run(
    target: str,
    until: Literal["end"] | None,
    drain: bool,
    adopt: bool,
    lanes: int | None,
    assignments: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run an App, such as activity:app for `app` in activity.py.

    Ctrl-C lets running model calls finish, commits and returns; a second one gives up at once.
    """
    with one_line_errors():
        app = load_app(target)
        _override(app, lanes, assignments)
        screen = _screen(app, as_json=as_json, quiet=quiet)
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


def _override(app: App, lanes: int | None, assignments: tuple[str, ...]) -> None:
    if lanes is not None:
        app._settings = _overrides.lanes(app._settings, lanes)
    app._models = _overrides.models(app._models, assignments)


def _screen(app: App, *, as_json: bool, quiet: bool) -> Screen | JsonScreen | QuietScreen:
    if as_json:
        screen = JsonScreen(app.metrics)
        _log(logging.WARNING if quiet else logging.INFO, screen.log_handler())
        return screen
    _log(logging.WARNING if quiet else logging.INFO)
    return QuietScreen() if quiet else Screen(Console(stderr=True), app.metrics)


def _log(level: int, handler: logging.Handler | None = None) -> None:
    # Does nothing where the user's module has set logging up.
    if handler is None:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    else:
        logging.basicConfig(handlers=[handler])
    logger = logging.getLogger("millstream")
    if logger.level == logging.NOTSET:
        logger.setLevel(level)
