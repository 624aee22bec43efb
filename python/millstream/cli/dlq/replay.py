"""`millstream dlq replay module:app`: the records that were no events go back to their topics, once."""

import json
from collections import Counter

import click

from millstream import App, _core
from millstream.cli._errors import one_line_errors
from millstream.cli._table import columns
from millstream.cli._target import app_argument, load_app
from millstream.cli.dlq._letters import RECORD_REASONS, Answer, Letter, check_reasons, open_topic, pieces
from millstream.cli.dlq._positions import ReplayPosition

_PURPOSE = "dlq-replay"
_EXAMPLE = """\b
Examples:
  millstream dlq replay activity:app --dry-run
  millstream dlq replay activity:app --reason missing_field --reason bad_type"""
_LATENESS = (
    "A replayed record comes at the end of its topic: for windows that have closed since it is late, and is\n"
    "counted, or sent to the late topic. What is no event still becomes a new dead letter."
)


@click.command(epilog=_EXAMPLE)
@app_argument
@click.option(
    "--reason", "reasons", multiple=True, metavar="CODE", help="Only this reason; several times: these."
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
def replay(target: str, reasons: tuple[str, ...], dry_run: bool) -> None:
    """Write the records among the dead letters of an App back to their topics and partitions, once.

    Correct what refused them first: the Topic, or whatever reads them. Key, value and timestamp are those of
    the original. What has been replayed is remembered as the offsets of the group {group}.dlq-replay, in the
    transaction that writes the records. Windows that a model failed on are for "dlq retry". Exit code 0:
    done, or nothing to do; 1: refused by the cluster; 2: the command line is wrong.
    """
    with one_line_errors():
        check_reasons(reasons, RECORD_REASONS)
        app = load_app(target)
        topic = open_topic(app, _PURPOSE, write=not dry_run)
        if topic is not None:
            _Replay(app, topic, reasons, dry_run).run()


class _Replay:
    def __init__(
        self, app: App, topic: _core.DeadLetterTopic, reasons: tuple[str, ...], dry_run: bool
    ) -> None:
        plan = app._plan()
        self._topic = topic
        self._reasons = reasons
        self._dry_run = dry_run
        self._sources = [source["topic"] for source in plan["sources"]]
        # How far behind its clock an event may be and still be in an open window; scored alone, any way.
        self._reach = {
            name: max(
                float("inf") if "max_wait_ms" in m else m["size_ms"] + m["grace_ms"]
                for m in plan["models"]
                if m["source"] == place
            )
            for place, name in enumerate(self._sources)
        }
        self._clocks = {(lag[0], lag[1]): lag[6] for lag in _core.lag(json.dumps(plan))}
        bounds = topic.bounds
        self._ends = [high for _, high in bounds]
        found = topic.positions
        self._positions = [ReplayPosition.of(found[p], low) for p, (low, _) in enumerate(bounds)]
        self._replayed: Counter[str] = Counter()
        self._late = 0
        self._foreign: Counter[str] = Counter()

    def run(self) -> None:
        """Replay everything that is wanted, and say so."""
        before = [position.committed() for position in self._positions]
        for piece in pieces(self._topic, [position.begin(self._reasons) for position in self._positions]):
            ends: dict[int, int] = {}
            answers = []
            for letter in piece:
                ends[letter.partition] = letter.offset + 1
                if self._is_wanted(letter):
                    answers.append(self._answer(letter))
            for partition, end in ends.items():
                self._positions[partition].advance(self._reasons, end)
            if answers and not self._dry_run:
                self._topic.write(answers, [(p, *self._positions[p].committed()) for p in ends])
        for position, end in zip(self._positions, self._ends, strict=True):
            position.advance(self._reasons, end)
        after = [position.committed() for position in self._positions]
        if after != before and not self._dry_run:
            self._topic.write([], [(p, *at) for p, at in enumerate(after)])
        self._tell()

    def _is_wanted(self, letter: Letter) -> bool:
        if letter.reason not in (self._reasons or RECORD_REASONS):
            return False
        if self._positions[letter.partition].is_done(letter.offset, letter.reason):
            return False
        if letter.headers.get("topic") not in self._sources:
            self._foreign[letter.headers.get("topic", "")] += 1
            return False
        return True

    def _answer(self, letter: Letter) -> Answer:
        topic, partition = letter.headers["topic"], int(letter.headers["partition"])
        self._replayed[letter.reason] += 1
        clock = self._clocks.get((topic, partition))
        self._late += clock is not None and letter.timestamp + self._reach[topic] <= clock
        return (topic, partition, letter.key, letter.value, letter.timestamp, [])

    def _tell(self) -> None:
        total = sum(self._replayed.values())
        for line in columns([(reason, f"{count:,}") for reason, count in sorted(self._replayed.items())]):
            click.echo(f"  {line}")
        for name, count in sorted(self._foreign.items()):
            click.echo(f"  {count:,} of topic {name!r}, which is no source of this app: left alone", err=True)
        if total == 0:
            click.echo("there is nothing to replay")
            return
        done = "would go" if self._dry_run else "have gone"
        click.echo(f"{total:,} records {done} back to their topics")
        if self._late:
            click.echo(f"{self._late:,} of them are too late for every window, by their record timestamps.")
        click.echo(_LATENESS)
        if self._dry_run:
            click.echo("nothing has been written (--dry-run)")
        elif not self._topic.transactional:
            click.echo("They went back without transactions: a crash in between would have repeated some.")
