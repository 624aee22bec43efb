"""`millstream init NAME`: a small project that runs, with its test."""

from pathlib import Path

import click

from millstream import App, _project
from millstream.cli._errors import Mistake, one_line_errors

_EXAMPLE = """\b
Examples:
  millstream init activity
  millstream init activity --brokers kafka-1:9092,kafka-2:9092"""


@click.command(epilog=_EXAMPLE)
@click.argument("name")
@click.option("--brokers", default="localhost:9092", show_default=True, help="Where Kafka is, or embedded.")
def init(name: str, brokers: str) -> None:
    """Make the directory NAME with a pipeline that runs, a test of it and a README.

    Nothing is overwritten. Exit code 0: made; 1: it could not be written; 2: the command line is wrong.
    """
    with one_line_errors():
        App(name, brokers=brokers)  # refuses what can be neither
        folder = Path(name)
        if folder.exists():
            raise Mistake(f"{name!r} exists here already; choose another name, or remove it")
        try:
            folder.mkdir()
            for file, text in _project.contents(name=name, brokers=brokers).items():
                (folder / file).write_text(text)
        except OSError as error:
            raise click.ClickException(f"{name!r} could not be written: {error.strerror}") from None
    click.echo(f"made {name}: {', '.join(_project.FILES)}")
    click.echo("next:")
    click.echo(f"  cd {name}")
    click.echo("  python -m pytest")
    click.echo("  millstream check pipeline:app")
