"""`millstream lag module:app`: how far the group of an app is behind, by partition."""

import json
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

import click

from millstream import _core
from millstream._durations import format_ms
from millstream.cli._errors import one_line_errors
from millstream.cli._table import columns
from millstream.cli._target import app_argument, load_app

# (topic, partition, oldest offset, end of the log, committed offset, start of a replay, clock in ms)
_Lag: TypeAlias = tuple[str, int, int, int, int | None, int | None, int | None]

_TOO_FAR = 1
_HEADER = ("topic", "partition", "end", "committed", "replay start", "lag", "clock delay")
_EXAMPLE = """\b
Examples:
  millstream lag activity:app
  millstream lag activity:app --max 10000 || echo "it falls behind\""""


@click.command(epilog=_EXAMPLE)
@app_argument
@click.option("--max", "most", type=click.IntRange(min=0), metavar="N", help="Exit code 1 beyond this lag.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per partition.")
def lag(target: str, most: int | None, as_json: bool) -> None:
    """Say how far the group of an App is behind, by partition; running or not, and without joining it.

    Lag is in offsets, from the committed one to the end; without one it is none, and counts from the oldest
    record. The replay start is where a restart begins to read, the clock delay how far the clock of the
    partition is behind the time now. Exit code 0: told; 1: the cluster cannot be asked, or a partition is
    further behind than --max.
    """
    with one_line_errors():
        app = load_app(target)
        found = _partitions(_core.lag(json.dumps(app._plan())), int(time.time() * 1000))
    for line in _as_json(found) if as_json else _as_table(found):
        click.echo(line)
    if most is not None:
        worst = max(found, key=lambda partition: int(partition["behind"]), default=None)
        if worst is not None and worst["behind"] > most:
            place = f"{worst['topic']} [{worst['partition']}]"
            click.echo(f"{place} is {worst['behind']:,} behind, more than --max {most:,}", err=True)
            raise SystemExit(_TOO_FAR)


def _partitions(found: Sequence[_Lag], now: int) -> list[dict[str, Any]]:
    partitions = []
    for topic, partition, low, end, committed, replay_start, clock in found:
        partitions.append(
            {
                "topic": topic,
                "partition": partition,
                "end": end,
                "committed": committed,
                "replay_start": replay_start,
                "lag": None if committed is None else max(end - committed, 0),
                "clock_delay_ms": None if clock is None else now - clock,
                "behind": max(end - (low if committed is None else committed), 0),
            }
        )
    return partitions


def _as_json(found: Sequence[dict[str, Any]]) -> list[str]:
    return [
        json.dumps({name: partition[name] for name in partition if name != "behind"}) for partition in found
    ]


def _as_table(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [_HEADER]
    for partition in found:
        delay = partition["clock_delay_ms"]
        rows.append(
            (
                partition["topic"],
                str(partition["partition"]),
                _number(partition["end"]),
                _number(partition["committed"]),
                _number(partition["replay_start"]),
                _number(partition["lag"]),
                "none"
                if delay is None
                else format_ms(delay // 1000 * 1000 if abs(delay) >= 10_000 else delay),
            )
        )
    known = [partition["lag"] for partition in found if partition["lag"] is not None]
    total = f"{sum(known):,}" if known else "none"
    return [*columns(rows), f"total lag {total}"]


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"
