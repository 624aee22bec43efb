"""`millstream inspect --key K`: what a running app holds of a key, asked of its status server."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import click

from millstream import _web
from millstream.cli._errors import Mistake
from millstream.cli._status import ask
from millstream.cli._table import moment

_HOLDS_NOTHING = 1
_EVENTS = 20


_EXAMPLE = """\b
Examples:
  millstream inspect --key watch-7
  millstream inspect --key 00ff --hex --url http://127.0.0.1:6067"""


@click.command(epilog=_EXAMPLE)
@click.option("--key", required=True, help="The key; with --hex its bytes.")
@click.option("--hex", "in_hex", is_flag=True, help="The key is given in hexadecimal digits.")
@click.option("--url", default=f"http://{_web.DEFAULT}", show_default=True, help="Where the status page is.")
@click.option("--json", "as_json", is_flag=True, help="What the server says, as it is.")
def inspect(key: str, in_hex: bool, url: str, as_json: bool) -> None:
    """Show the open windows and the events of a key in a running app.

    A token is taken from MILLSTREAM_WEB_TOKEN. Exit code 0: the app holds events of the key; 1: it holds
    none, or does not answer; 2: the command line is wrong.
    """
    if not key:
        raise Mistake("--key is empty; write the key of the windows that you look for")
    answer = ask(url, f"/api/keys/{quote(os.fsencode(key), safe='')}{'?encoding=hex' if in_hex else ''}")
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        for line in _lines(answer):
            click.echo(line)
    if not answer["partitions"]:
        raise SystemExit(_HOLDS_NOTHING)


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    if not answer["complete"]:
        yield "not all lanes have answered: there may be more"
    if not answer["partitions"]:
        yield f"no event of key {_shown(answer['key'])} is in memory of this process"
    for part in answer["partitions"]:
        place = f"{part['topic']} [{part['partition']}]"
        yield f"{place}  clock {_time(part['clock'])}  {part['n_events']} events"
        for model in part["models"]:
            yield f"  model {model['model']}  watermark {_time(model['watermark'])}"
            for window in model["windows"]:
                bounds = f"{_time(window['start'])} to {_time(window['end'])}"
                yield f"    {window['state']:<8}{bounds}  {window['n_events']} events"
        events = part["events"]
        yield f"  events: {', '.join(part['fields']) or 'no fields'}"
        if part["truncated"] or len(events) > _EVENTS:
            yield f"    only the last {min(len(events), _EVENTS)} are shown"
        for event in events[-_EVENTS:]:
            yield f"    {_time(event['time'])}  {', '.join(map(_number, event['values']))}"


def _shown(key: object) -> str:
    return json.dumps(key, ensure_ascii=False) if isinstance(key, str) else json.dumps(key)


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:g}"


def _time(ms: int | None) -> str:
    return "none" if ms is None else moment(ms)
