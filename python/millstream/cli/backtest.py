"""`millstream backtest module:app data.parquet --out results.parquet`: `app.backtest()` on files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from millstream import App, Disorder, _params, _sources
from millstream.cli._errors import Mistake, one_line_errors
from millstream.cli._options import params_option
from millstream.cli._target import load_app

_EXAMPLE = """\b
Examples:
  millstream backtest activity:app data.parquet --out results.parquet
  millstream backtest app:app readings=a.csv events=b.csv --out results.csv --delay 2s --late 0.01"""


@click.command(epilog=_EXAMPLE)
@click.argument("target", metavar="MODULE:APP")
@click.argument("data", nargs=-1, required=True, metavar="[TOPIC=]FILE...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Results, .parquet or .csv.")
@click.option("--dropped", type=click.Path(path_type=Path), help="What has no result, and why.")
@click.option(
    "--order", type=click.Choice(["time", "row"]), default="time", help="By event time, or as rows stand."
)
@click.option("--drain/--no-drain", default=True, help="Emit the windows still open at the end, or not.")
@click.option("--workers", type=click.IntRange(1, 256), help="Threads; one per core.")
@params_option
@click.option("--delay", help="Let events arrive up to this much after their time, such as 2s.")
@click.option("--late", type=click.FloatRange(0, 1), help="Share of the events that arrive later than that.")
@click.option("--late-by", help="By up to this much more; 1m.")
@click.option("--seed", type=click.IntRange(0), help="Of the delays; 0.")
def backtest(
    target: str,
    data: tuple[str, ...],
    out: Path,
    dropped: Path | None,
    order: Literal["time", "row"],
    drain: bool,
    workers: int | None,
    params: tuple[str, ...],
    **disorder: Any,
) -> None:
    """Run an App, such as activity:app, on CSV or Parquet files, without a broker.

    An App of several sources takes a TOPIC=FILE for each. Where it has several sinks, the results of each go
    to a file with the name of the sink before the suffix.
    """
    with one_line_errors():
        app = load_app(target)
        fed = _fed(data)
        for path in filter(None, (out, dropped)):
            _sources.writable(path)
        files = _files(app, out)
        _check_apart([*files.values(), *filter(None, [dropped])], fed)
        said = {name: value for name, value in disorder.items() if value is not None}
        results, without = app.backtest(
            fed,
            order=order,
            drain=drain,
            workers=workers,
            disorder=_disorder(said) if said else None,
            with_dropped=True,
            params=_params.parse(params),
        )
        by_sink = results if isinstance(results, dict) else dict.fromkeys(files, results)
        frames = {files[sink]: frame for sink, frame in by_sink.items()}
        if dropped is not None:
            frames[dropped] = without
        for path, frame in frames.items():
            _sources.write(frame, path)
            click.echo(f"{path}: {len(frame)} rows", err=True)
        if dropped is None and len(without) > 0:
            click.echo(f"{len(without)} rows or windows have no result; --dropped FILE says why", err=True)


def _fed(data: tuple[str, ...]) -> str | dict[str, str]:
    if len(data) == 1 and "=" not in data[0]:
        return data[0]
    fed: dict[str, str] = {}
    for each in data:
        topic, separator, path = each.partition("=")
        if not separator:
            raise Mistake(f"{each!r} does not say which topic it is of; write TOPIC={each}")
        if topic in fed:
            raise Mistake(f"topic {topic!r} is given twice; join the files")
        fed[topic] = path
    return fed


def _files(app: App, out: Path) -> dict[str, Path]:
    """Return where the results of each sink go."""
    sinks = dict.fromkeys(spec.sink for spec in app._models)
    if len(sinks) < 2:
        return dict.fromkeys(sinks, out)
    return {sink: out.with_suffix(f".{sink}{out.suffix}") for sink in sinks}


def _check_apart(written: Sequence[Path], fed: str | dict[str, str]) -> None:
    """Check that nothing that is read is written over, and nothing written twice.

    Raises:
        Mistake: It would be.
    """
    read = [fed] if isinstance(fed, str) else list(fed.values())
    taken = {Path(path).resolve() for path in read}
    for path in written:
        if path.resolve() in taken:
            raise Mistake(
                f"{str(path)!r} is read, or written to, already; give --out and --dropped other names"
            )
        taken.add(path.resolve())


def _disorder(said: dict[str, Any]) -> Disorder:
    return Disorder(said.pop("seed", 0), **said)
