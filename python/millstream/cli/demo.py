"""`millstream demo`: a model live on replayed watch recordings, in one process, with nothing to set up."""

import math
import os
from importlib.util import find_spec

import click
from rich.console import Console

from millstream._demo.replay import GARBLED_EVERY, SPEED, STRAGGLER_EVERY
from millstream._demo.screen import LiveScreen, PlainScreen
from millstream._demo.session import Session
from millstream._web import DEFAULT, at
from millstream.cli._errors import Mistake, one_line_errors

_EXAMPLE = """\b
Example:
  millstream demo --seconds 10"""


@click.command(epilog=_EXAMPLE)
@click.option(
    "--seconds", type=click.FloatRange(1, 600), default=30, show_default=True, help="How long it runs."
)
@click.option(
    "--watches", type=click.IntRange(1, 100), default=20, show_default=True, help="How many there are."
)
@click.option("--no-web", is_flag=True, help="Serve no status page.")
@click.option("--plain", is_flag=True, help="Print lines, as it does where there is no terminal.")
def demo(seconds: float, watches: int, no_web: bool, plain: bool) -> None:
    """Run a model live on replayed watch recordings: no Kafka, no set-up, ends by itself."""
    if math.isnan(seconds):
        raise Mistake("--seconds nan is no length; write a number from 1 to 600")
    if find_spec("sklearn") is None:
        raise click.ClickException("the demo's model needs scikit-learn: pip install 'millstream[demo]'")
    _forget_settings()
    console = Console(highlight=False)
    web = None if no_web else at("millstream demo web", DEFAULT, {})
    _say(console, _banner(seconds, watches))
    with one_line_errors():
        screen = PlainScreen(console) if plain or not console.is_terminal else LiveScreen(console)
        session = Session(screen, seconds=seconds, watches=watches, web=web)
        try:
            session.run()
        except KeyboardInterrupt:
            _say(console, "stopped at once")
        _say(console, "Summary")
        for name, value in session.summary().items():
            _say(console, f"  {name:<14}{value}")


def _banner(seconds: float, watches: int) -> str:
    return f"""\
millstream demo: {watches} watches, {seconds:g} seconds; Ctrl-C ends it
  broker   embedded: librdkafka's mock cluster in this process, on loopback;
           at-least-once, and nothing is kept
  data     BasicMotions: test recordings at {SPEED} times real time; one reading
           in {STRAGGLER_EVERY} is sent 3 s behind, one in {GARBLED_EVERY} is cut short
  model    random forest, trained now on the train recordings; sees every second
           what each watch sent in the last ten
"""


def _forget_settings() -> None:
    """Drop MILLSTREAM_ variables: they go before the code, and may point to a real cluster."""
    for name in [name for name in os.environ if name.startswith("MILLSTREAM_")]:
        del os.environ[name]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
