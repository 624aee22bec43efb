"""`millstream dashboards export DIR`: the Grafana dashboard and the alert rules for Prometheus, as files."""

from importlib.resources import files
from pathlib import Path

import click

_FILES = ("millstream-grafana.json", "millstream-alerts.yml")


_EXAMPLE = """\b
Example:
  millstream dashboards export monitoring"""


@click.group(epilog=_EXAMPLE)
def dashboards() -> None:
    """Dashboards and alert rules for the metrics of a running app."""


@dashboards.command(epilog=_EXAMPLE)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace files that differ.")
def export(directory: Path, force: bool) -> None:
    """Write the Grafana dashboard and the alert rules into DIRECTORY, which is made where it is missing."""
    texts = {name: (files("millstream") / "_dashboards" / name).read_text("utf-8") for name in _FILES}
    for name, text in texts.items():
        path = directory / name
        if path.exists() and path.read_text("utf-8") != text and not force:
            raise click.ClickException(f"{path} is there and differs; --force replaces it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / name).write_text(text, "utf-8")
            click.echo(str(directory / name))
    except OSError as error:
        raise click.ClickException(f"{directory} cannot be written to: {error.strerror}") from None
