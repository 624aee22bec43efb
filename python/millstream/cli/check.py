"""`millstream check module:app`: what is found out about an app and its cluster, one line per finding."""

import json

import click

from millstream.cli._errors import one_line_errors
from millstream.cli._target import load_app
from millstream.errors import ConfigError

_FOUND_ERRORS = 1


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
def check(target: str, as_json: bool) -> None:
    """Check an App against its cluster: settings, topics, rights, retention, group, newest records.

    Consumes and commits nothing, and makes no topic. Exit code 0: it can run; 1: there is an error among the
    findings; 2: the command line is wrong.
    """
    with one_line_errors():
        app = load_app(target)
        try:
            findings = app._check()
        except ConfigError as error:
            findings = [("error", "settings", target, str(error))]
    for level, name, subject, text in findings:
        if as_json:
            finding = {"level": level, "check": name, "subject": subject, "text": text}
            click.echo(json.dumps(finding, ensure_ascii=False))
        else:
            click.echo(f"{level:<9}{name:<14}{text}")
    if any(level == "error" for level, *_ in findings):
        raise SystemExit(_FOUND_ERRORS)
