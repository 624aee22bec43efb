"""`millstream reset module:app --to ...`: says where a stopped group will begin, and sets it there."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from millstream._durations import duration_ms
from millstream.cli._errors import Mistake, one_line_errors
from millstream.cli._target import app_argument, load_app
from millstream.errors import ConfigError

# As many digits as surely fit 64 bits.
_NUMBER = re.compile(r"[0-9]{1,18}")
_HIGHEST_PARTITION = (1 << 31) - 1
_FORMS = "write earliest, latest, an offset, a time such as 2026-01-31T12:00:00Z, @1769860800000 or -1h"
# Topic, partition, where the group stands, where it will, oldest offset, end of the log.
Move = tuple[str, int, int | None, int, int, int]
_EXAMPLE = """\b
Examples:
  millstream reset activity:app --to -1h --dry-run
  millstream reset activity:app --to earliest --topic watch.readings --yes"""


@click.command(epilog=_EXAMPLE)
@app_argument
@click.option("--to", "to", required=True, metavar="earliest|latest|OFFSET|TIME", help="Where to.")
@click.option("--topic", help="Only this source; else all of them.")
@click.option(
    "--partition", type=click.IntRange(0, _HIGHEST_PARTITION), help="Only this partition; else all of them."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
def reset(target: str, to: str, topic: str | None, partition: int | None, yes: bool, dry_run: bool) -> None:
    """Set where the group of an App stands on its sources; the app must be stopped everywhere.

    A TIME is ISO 8601 with a zone (2026-01-31T12:00:00Z), @ and milliseconds since 1970, or a duration ago
    (-1h). Where no record is that new, it is the end. Open windows of the old position are given up. Exit
    code 0: set, or shown; 1: refused by the cluster, or answered with no; 2: the command line is wrong.
    """
    with one_line_errors():
        kind, value = parse_target(to)
        app = load_app(target)
        moves = app._reset_moves(kind, value, topic, partition)
        group = app._plan()["group_id"]
        click.echo(f"group {group}")
        for line in move_lines(moves):
            click.echo(line)
        click.echo(_consequence(kind))
        if dry_run:
            click.echo("nothing has been changed (--dry-run)")
            return
        if not yes:
            click.confirm("Set the position?", abort=True)
        app._reset(kind, moves)
        click.echo(f"group {group} stands there now")


def parse_target(text: str) -> tuple[str, int]:
    """Return what `--to` means: its kind, and an offset or a time in ms since 1970.

    Raises:
        Mistake: It is none of the forms.
    """
    if text in {"earliest", "latest"}:
        return text, 0
    if _NUMBER.fullmatch(text):
        return "offset", int(text)
    if text.startswith("@") and _NUMBER.fullmatch(text[1:]):
        return "time", int(text[1:])
    if text.startswith("-"):
        try:
            return "time", int(time.time() * 1000) - duration_ms("--to", text[1:])
        except ConfigError:
            raise Mistake(f"--to {text!r} is no position; {_FORMS}") from None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Mistake(f"--to {text!r} is no position; {_FORMS}") from None
    if when.tzinfo is None:
        whole = text if ":" in text else f"{text}T00:00"
        raise Mistake(f"--to {text!r} has no time zone; write {whole}Z for UTC, or an offset: {whole}+02:00")
    return "time", (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def move_lines(moves: Sequence[Move]) -> list[str]:
    """Return a line for each partition."""
    lines = []
    for topic, partition, old, new, low, high in moves:
        was = "none" if old is None else str(old)
        lines.append(f"  {topic} [{partition}]  {was} -> {new}  (log {low} to {high}, {high - new} to read)")
    return lines


def _consequence(kind: str) -> str:
    if kind == "earliest":
        return (
            "Every window is computed from the oldest record on; results are written again, under their ids."
        )
    return (
        "The windows that are open at the old position are given up. Each model begins with the first\n"
        "window that starts after the first event that it then sees; what lies between is skipped, or\n"
        "written again."
    )
