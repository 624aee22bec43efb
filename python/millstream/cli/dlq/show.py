"""`millstream dlq show module:app`: the dead letters by reason, and the newest of them in full."""

import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Any

import click

from millstream.cli._errors import one_line_errors
from millstream.cli._table import columns, moment, printable
from millstream.cli._target import app_argument, load_app
from millstream.cli.dlq._letters import (
    RECORD_REASONS,
    WINDOW_REASONS,
    Letter,
    check_reasons,
    open_topic,
    pieces,
)

_MOST_ROWS = 10
_MOST_CHARS = 2_000
_WINDOW_PARTS = ("values", "timestamps", "context", "offsets")
_EXAMPLE = """\b
Examples:
  millstream dlq show activity:app
  millstream dlq show activity:app --reason model_error --limit 1"""


@click.command(epilog=_EXAMPLE)
@app_argument
@click.option(
    "--reason", "reasons", multiple=True, metavar="CODE", help="Only this reason; several times: these."
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=5, show_default=True, help="How many are shown in full."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per reason, then per dead letter.")
def show(target: str, reasons: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Count the dead letters of an App by reason, and show the newest: values, errors, tracebacks.

    Newest by timestamp: that of the original record, or the end of the window. Commits nothing. Exit code 0:
    shown; 1: the cluster cannot be asked; 2: the command line is wrong.
    """
    with one_line_errors():
        check_reasons(reasons, (*RECORD_REASONS, *WINDOW_REASONS))
        app = load_app(target)
        topic = open_topic(app)
        if topic is None:
            return
        counts: Counter[str] = Counter()
        newest: dict[int, deque[Letter]] = defaultdict(lambda: deque(maxlen=limit))
        for piece in pieces(topic, [low for low, _ in topic.bounds]):
            for letter in piece:
                if not reasons or letter.reason in reasons:
                    counts[letter.reason or "no reason"] += 1
                    newest[letter.partition].append(letter)
        found = sorted((x for of in newest.values() for x in of), key=lambda letter: letter.timestamp)
        shown = found[-limit:] if limit else []
    for line in _as_json(counts, shown) if as_json else _as_text(app._plan(), counts, shown):
        click.echo(line)


def _as_json(counts: Counter[str], shown: Iterable[Letter]) -> list[str]:
    lines: list[dict[str, Any]] = []
    for reason, count in sorted(counts.items()):
        lines.append({"type": "count", "reason": reason, "count": count})
    for letter in shown:
        lines.append(
            {
                "type": "dead_letter",
                "partition": letter.partition,
                "offset": letter.offset,
                "timestamp": letter.timestamp,
                "key": None if letter.key is None else letter.key.decode(errors="replace"),
                "headers": letter.headers,
                "value": letter.json if letter.json is not None else _text(letter.value),
            }
        )
    return [json.dumps(line, ensure_ascii=False) for line in lines]


def _as_text(plan: dict[str, Any], counts: Counter[str], shown: list[Letter]) -> list[str]:
    lines = [f"topic {plan['dead_letter_topic']}"]
    if not counts:
        return [*lines, "  no dead letters"]
    lines += [f"  {line}" for line in columns([(name, f"{n:,}") for name, n in sorted(counts.items())])]
    for letter in reversed(shown):
        lines += ["", *_letter(letter)]
    return [printable(line) for line in lines]


def _letter(letter: Letter) -> list[str]:
    headers = letter.headers
    origin = f"{headers.get('topic')} [{headers.get('partition')}]"
    if "offset" in headers:
        origin += f" offset {headers['offset']}"
    lines = [f"{letter.reason or 'no reason'}  {_time(letter.timestamp)}  {letter.place}, from {origin}"]
    lines.append(f"  key     {'none' if letter.key is None else repr(letter.key.decode(errors='replace'))}")
    if letter.is_window and isinstance(letter.json, dict):
        return lines + _window(letter.json)
    lines.append(f"  detail  {headers.get('detail', '')}")
    pretty = json.dumps(letter.json, indent=2, ensure_ascii=False) if letter.json is not None else None
    return lines + _indented("value", _text(letter.value) if pretty is None else pretty)


def _window(told: dict[str, Any]) -> list[str]:
    bounds = told.get("window") or {}
    start, end = _time(bounds.get("start")), _time(bounds.get("end"))
    window = f"  window  [{start}, {end}), {told.get('n_events')} events"
    lines = [
        f"  model   {told.get('model')} version {told.get('version')}, id {told.get('id')}",
        window if bounds else f"  event   {_time(told.get('timestamp'))}, offset {told.get('offset')}",
        f"  error   {told.get('error')}",
    ]
    if told.get("offsets"):
        lines.append(
            f"  values  left out: offsets {told['offsets'].get('first')} to {told['offsets'].get('last')}"
        )
    elif isinstance(told.get("values"), list):
        lines += _values(told)
    if told.get("context"):
        lines.append(f"  context {json.dumps(told['context'], ensure_ascii=False)}")
    if told.get("traceback"):
        lines += [f"  {line}" for line in str(told["traceback"]).splitlines()]
    return lines


def _values(told: dict[str, Any]) -> list[str]:
    values, times = told["values"], told.get("timestamps") or []
    rows = [("time" if times else "", *map(str, told.get("fields") or []))]
    for place, row in enumerate(values[:_MOST_ROWS]):
        time = str(times[place]) if place < len(times) else ""
        rows.append((time, *("nan" if value is None else str(value) for value in row)))
    if len({len(row) for row in rows}) > 1:
        return [f"  values  {json.dumps(values)[:_MOST_CHARS]}"]
    more = len(values) - _MOST_ROWS
    table = [f"    {line}" for line in columns(rows)]
    return [*table, f"    and {more:,} events more"] if more > 0 else table


def _indented(name: str, text: str) -> list[str]:
    cut = text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}... ({len(text):,} characters)"
    first, *others = cut.split("\n")
    return [f"  {name:<8}{first}", *(f"          {line}" for line in others)]


def _text(value: bytes | None) -> str:
    return "none" if value is None else value.decode(errors="backslashreplace")


def _time(ms: object) -> str:
    return moment(ms) if isinstance(ms, int) else "?"
