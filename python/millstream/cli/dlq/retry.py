"""`millstream dlq retry module:app`: the model is called again with the windows that it failed on, once."""

from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import click

from millstream import App, _core, _params
from millstream._pool import hooks_of
from millstream.cli._errors import one_line_errors
from millstream.cli._options import params_option
from millstream.cli._table import printable
from millstream.cli._target import app_argument, load_app
from millstream.cli.dlq._letters import Letter, Outcome, open_topic, pieces
from millstream.cli.dlq._positions import MOST_LEFT, RetryPosition

_PURPOSE = "dlq-retry"
_FAILED_AGAIN = 1
_MOST_TRACEBACKS = 5
_EXAMPLE = """\b
Examples:
  millstream dlq retry activity:app --dry-run
  millstream dlq retry activity:app"""


@click.command(epilog=_EXAMPLE)
@app_argument
@params_option
@click.option("--dry-run", is_flag=True, help="Count the windows; call no model, and write nothing.")
def retry(target: str, params: tuple[str, ...], dry_run: bool) -> None:
    """Call the models of an App again with the windows among its dead letters, and write the results, once.

    Single events of @app.batch count as windows.

    A result has the id, key, partition and timestamp that it would have had from the beginning; the header
    model-version is that of the model that has computed it now. What has been retried is remembered as the
    offsets of the group {group}.dlq-retry, in the transaction that writes the results. Windows that fail
    again are named, and come again with the next call. Exit code 0: none has failed; 1: some have, the model
    failed as a whole, or the cluster refused; 2: the command line is wrong.
    """
    with one_line_errors():
        given = _params.parse(params)
        app = load_app(target)
        if not dry_run:
            given = _params.check(given, app._models)
        topic = open_topic(app, _PURPOSE, write=not dry_run)
        if topic is None:
            return
        with ExitStack() as models:
            failed = _Retry(app, topic, models, given, dry_run).run()
    if failed:
        raise SystemExit(_FAILED_AGAIN)


class _Retry:
    def __init__(
        self,
        app: App,
        topic: _core.DeadLetterTopic,
        models: ExitStack,
        params: dict[str, Any] | None,
        dry_run: bool,
    ) -> None:
        self._app = app
        self._topic = topic
        self._models = models
        self._params = params
        self._dry_run = dry_run
        self._group = app._plan()["group_id"]
        self._places = {spec.name: place for place, spec in enumerate(app._models)}
        self._calls: dict[str, list[Callable[..., Any]]] = {}
        bounds = topic.bounds
        self._ends = [high for _, high in bounds]
        found = topic.positions
        self._positions = [RetryPosition.of(found[p], low) for p, (low, _) in enumerate(bounds)]
        self._counts: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._full: int | None = None

    def run(self) -> int:
        """Retry everything; returns how many have failed again."""
        began = [position.committed() for position in self._positions]
        for piece in pieces(self._topic, [position.begin() for position in self._positions]):
            outcomes = self._call([letter for letter in piece if self._is_wanted(letter)])
            self._write(piece, outcomes)
            if self._full is not None:
                break
        else:
            for position, end in zip(self._positions, self._ends, strict=True):
                position.finish(end)
            ended = [position.committed() for position in self._positions]
            if not self._dry_run and ended != began:
                self._topic.write([], [(p, *at) for p, at in enumerate(ended)])
        self._tell()
        return self._counts["failed"]

    def _is_wanted(self, letter: Letter) -> bool:
        if not letter.is_window or not self._positions[letter.partition].is_open(letter.offset):
            return False
        model = letter.headers["model"]
        if letter.headers.get("group") != self._group:
            self._passed[f"of group {letter.headers.get('group')!r}"] += 1
        elif model not in self._places:
            self._passed[f"of model {model!r}, which is not in this app"] += 1
        else:
            return True
        return False

    def _call(self, letters: list[Letter]) -> dict[tuple[int, int], Outcome]:
        by_model: dict[str, list[Letter]] = defaultdict(list)
        for letter in letters:
            by_model[letter.headers["model"]].append(letter)
        if self._dry_run:
            for name, of_model in by_model.items():
                self._counts[f"of model {name}"] += len(of_model)
            return {}
        outcomes: dict[tuple[int, int], Outcome] = {}
        for name, of_model in by_model.items():
            written = [(letter.key or b"", letter.value or b"") for letter in of_model]
            answers = self._topic.retry(self._places[name], self._opened(name), written)
            outcomes.update(zip(((x.partition, x.offset) for x in of_model), answers, strict=True))
        return outcomes

    def _opened(self, name: str) -> list[Callable[..., Any]]:
        if name not in self._calls:
            spec = self._app._models[self._places[name]]
            hooks = hooks_of(replace(spec, workers=1), self._params)
            self._models.callback(hooks.close)
            hooks.start()
            self._calls[name] = [*hooks.open()]
        return self._calls[name]

    def _write(self, piece: list[Letter], outcomes: dict[tuple[int, int], Outcome]) -> None:
        seen: dict[int, list[int]] = defaultdict(list)
        failed: dict[int, list[int]] = defaultdict(list)
        for letter in piece:
            seen[letter.partition].append(letter.offset)
            outcome = outcomes.get((letter.partition, letter.offset))
            if outcome is not None and outcome[0] == "failed":
                failed[letter.partition].append(letter.offset)
        ends: dict[int, int] = {}
        for partition, offsets in seen.items():
            ends[partition] = self._positions[partition].advance(offsets, failed[partition])
            if ends[partition] <= offsets[-1]:
                self._full = partition
        answers = []
        for letter in piece:
            outcome = outcomes.get((letter.partition, letter.offset))
            if outcome is None or letter.offset >= ends[letter.partition]:
                continue
            kind, record, error, traceback = outcome
            self._counts[kind] += 1
            if record is not None:
                answers.append(record)
            if kind == "failed":
                self._name(letter, error or "", traceback)
        if outcomes:
            self._topic.write(answers, [(p, *self._positions[p].committed()) for p in ends])

    def _name(self, letter: Letter, error: str, traceback: str | None) -> None:
        told = letter.json if isinstance(letter.json, dict) else {}
        bounds = told.get("window", {})
        which = f"[{bounds.get('start')}, {bounds.get('end')})" if bounds else f"offset {told.get('offset')}"
        window = f"{told.get('key')!r} {which}"
        line = f"failed again: model {letter.headers['model']}, {window}, dead letter {letter.place}: {error}"
        click.echo(printable(line), err=True)
        if traceback and self._counts["failed"] <= _MOST_TRACEBACKS:
            click.echo(printable(traceback), err=True)

    def _tell(self) -> None:
        for whose, count in sorted(self._passed.items()):
            click.echo(f"{count:,} windows {whose}: passed over", err=True)
        if self._dry_run:
            for whose, count in sorted(self._counts.items()):
                click.echo(f"{count:,} windows {whose} would be retried")
            self._counts.clear()
            click.echo("nothing has been written (--dry-run)")
            return
        counts = self._counts
        if not counts:
            click.echo("there is nothing to retry")
            return
        silent = f", {counts['silent']:,} without a result" if counts["silent"] else ""
        total = sum(counts.values())
        click.echo(
            f"{total:,} windows retried: {counts['result']:,} results written{silent}, "
            f"{counts['failed']:,} failed again"
        )
        if self._full is not None:
            click.echo(
                f"stopped at partition {self._full}: {MOST_LEFT} windows have failed. Correct the model",
                err=True,
            )
