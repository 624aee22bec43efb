"""`millstream dlq`: what is in the dead-letter topic of an app, and the ways back for it."""

import click

from millstream.cli.dlq.replay import replay
from millstream.cli.dlq.retry import retry
from millstream.cli.dlq.show import show

_EXAMPLE = """\b
Examples:
  millstream dlq show activity:app
  millstream dlq replay activity:app --reason missing_field --dry-run
  millstream dlq retry activity:app"""


@click.group(epilog=_EXAMPLE)
def dlq() -> None:
    """Show the dead letters of an App, replay its records, retry its windows."""


dlq.add_command(show)
dlq.add_command(replay)
dlq.add_command(retry)
