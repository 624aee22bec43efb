"""`millstream check module:app`: what is found out about an app and its cluster, one line per finding."""

import json

import click

from millstream import _params
from millstream.cli._errors import one_line_errors
from millstream.cli._models import load_models
from millstream.cli._options import params_option
from millstream.cli._target import app_argument, load_app
from millstream.errors import ConfigError

_FOUND_ERRORS = 1
_EXAMPLE = """\b
Examples:
  millstream check activity:app
  millstream check activity:app --param path=model.bin
  millstream check activity:app --no-models --json"""


@click.command(epilog=_EXAMPLE)
@app_argument
@click.option("--no-models", is_flag=True, help="Do not load and warm up the models.")
@params_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
def check(target: str, no_models: bool, params: tuple[str, ...], as_json: bool) -> None:
    """Check an App against its cluster: settings, topics, rights, retention, group, newest records, models.

    Consumes and commits nothing, and makes no topic. Each model is loaded, warmed up and closed. Exit code
    0: it can run; 1: there is an error among the findings; 2: the command line is wrong.
    """
    with one_line_errors():
        given = _params.parse(params)
        app = load_app(target)
        try:
            findings = app._check()
        except ConfigError as error:
            findings = [("error", "settings", target, str(error))]
        if not no_models:
            findings += load_models(app._models, given)
    for level, name, subject, text in findings:
        if as_json:
            finding = {"level": level, "check": name, "subject": subject, "text": text}
            click.echo(json.dumps(finding, ensure_ascii=False))
        else:
            click.echo(f"{level:<9}{name:<14}{text}")
    if any(level == "error" for level, *_ in findings):
        raise SystemExit(_FOUND_ERRORS)
