"""`millstream run module:app`: the same as `app.run()`, with a banner, progress and a summary."""

import logging
from contextlib import nullcontext
from typing import Literal

import click
from rich.console import Console

from millstream import App, _overrides, _params
from millstream.cli._errors import one_line_errors
from millstream.cli._json_screen import JsonScreen, QuietScreen
from millstream.cli._live import LiveScreen
from millstream.cli._log import LogScreen, errors_as_records
from millstream.cli._options import params_option
from millstream.cli._screen import Screen
from millstream.cli._target import app_argument, load_app
from millstream.cli._web import serve
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
@click.option("--web", metavar="HOST:PORT", help="Where the status page is; 127.0.0.1:6066 if not said.")
@click.option("--no-web", is_flag=True, help="Serve no status page.")
@click.option("--adopt", is_flag=True, help="Take a changed app on where its group stands.")
@params_option
@click.option("--lanes", type=int, metavar="N", help="Group members in this process, over App(lanes=).")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="MODEL.KEY=VALUE",
    help="Over @app.model(KEY=): workers, max_batch, max_batch_events, target, timeout, retries, on_error or "
    "late; over @app.batch(KEY=): max_events, too.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Figures, as one JSON object per line to standard output."
)
@click.option("--quiet", is_flag=True, help="Print warnings and errors alone.")
@click.option(
    "--log-json", is_flag=True, help="All that it says, as one JSON log record per line to standard error."
)
def run(
    target: str,
    until: Literal["end"] | None,
    drain: bool,
    web: str | None,
    no_web: bool,
    adopt: bool,
    params: tuple[str, ...],
    lanes: int | None,
    assignments: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    log_json: bool,
) -> None:
    """Run an App, such as activity:app for `app` in activity.py.

    In a terminal figures of models and partitions are shown live, elsewhere a line every 10 s. Ctrl-C lets
    running model calls finish, commits and returns; a second one gives up at once.
    """
    with one_line_errors():
        app = load_app(target)
        if as_json and log_json:
            raise click.UsageError("--json and --log-json do not go together")
        _override(app, lanes, assignments)
        serve(app, web, off=no_web)
        plan = app._plan()
        screen = _screen(app, as_json=as_json, quiet=quiet, log_json=log_json)
        _log_to(screen.log_handler(), logging.WARNING if quiet else logging.INFO, force=log_json)
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


def _override(app: App, lanes: int | None, assignments: tuple[str, ...]) -> None:
    if lanes is not None:
        app._settings = _overrides.lanes(app._settings, lanes)
    app._models = _overrides.models(app._models, assignments)


def _screen(app: App, *, as_json: bool, quiet: bool, log_json: bool) -> Screen | JsonScreen | QuietScreen:
    if as_json:
        return JsonScreen(app.metrics)
    if quiet:
        return QuietScreen()
    console = Console(stderr=True)
    if log_json:
        return LogScreen(app._settings.name, console, app.metrics)
    live = console.is_interactive and console.file.isatty()
    return LiveScreen(console, app.metrics) if live else Screen(console, app.metrics)


def _log_to(handler: logging.Handler, level: int, *, force: bool) -> None:
    # Without force this does nothing where the user's module has set logging up.
    logging.basicConfig(handlers=[handler], force=force)
    logger = logging.getLogger("millstream")
    if logger.level == logging.NOTSET:
        logger.setLevel(level)
