"""What a notebook shows of an App, windows and batches. All that users wrote is escaped."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from millstream import _svg
from millstream._core import Window, WindowBatch
from millstream._durations import duration_ms
from millstream._events import EventModelSpec

if TYPE_CHECKING:
    from millstream._model import ModelSpec
    from millstream._settings import Settings
    from millstream._windows import HoppingWindow

# Of a batch, and fields of a chart.
_MOST_WINDOWS = 8
_MOST_FIELDS = 6
# Windows in the picture of a definition.
_SHOWN = 4


def of_app(settings: "Settings", models: Sequence["ModelSpec"], *, running: bool) -> str:
    """Return settings, without secrets, and models as tables."""
    facts = [
        ("state", "running" if running else "stopped"),
        ("brokers", settings.brokers),
        ("group", settings.group_id),
        ("guarantee", settings.guarantee),
        *((f"kafka {name}", value) for name, value in settings.safe_kafka().items()),
    ]
    table = _table((), ([f"<b>{escape(name)}</b>", escape(value)] for name, value in facts))
    if not models:
        return _box(
            f"App {escape(settings.name)}", table + "<p>no model yet: decorate one with @app.model</p>"
        )
    rows = (
        [escape(model.name), escape(model.source.name), escape(_unit(model)), escape(model.sink)]
        for model in models
    )
    return _box(f"App {escape(settings.name)}", table + _table(("model", "source", "window", "sink"), rows))


def of_hopping(window: "HoppingWindow") -> str:
    """Return the definition with a picture: some windows as bars on a time axis, their grace behind them."""
    size, hop, grace = (
        duration_ms(name, getattr(window, name), least=None) for name in ("size", "hop", "grace")
    )
    width, row, span = 420, 14, hop * (_SHOWN - 1) + size + grace
    bars = []
    for number in range(_SHOWN):
        left, length, wait = (width * part / span for part in (number * hop, size, grace))
        place = f'y="{4 + number * row}" height="{row - 4}" fill="{_svg.COLOURS[0]}"'
        bars.append(f'<rect x="{left:.1f}" width="{length:.1f}" {place}/>')
        bars.append(f'<rect x="{left + length:.1f}" width="{wait:.1f}" {place} fill-opacity="0.3"/>')
    label = f"{_SHOWN} windows in a row; each waits for late events during the paler part"
    chart = _svg.picture("".join(bars), label, width, 4 + _SHOWN * row)
    return _box(escape(f"{type(window).__name__}: {_spelled(window)}"), chart)


def of_batch(batch: WindowBatch) -> str:
    """Return the first windows with a chart each."""
    rows = []
    for index in range(min(len(batch), _MOST_WINDOWS)):
        window = batch[index]
        chart = _chart(window, width=260, height=36)
        rows.append(
            [escape(str(window.key)), _time(window.start), _time(window.end), str(len(window)), chart]
        )
    more = f"<p>and {len(batch) - len(rows)} more</p>" if len(batch) > len(rows) else ""
    events = int(batch.row_splits[-1])
    title = f"WindowBatch of {len(batch)} windows, {events} events"
    head = ("key", "start", "end", "events", "values")
    return _box(title, _table(head, rows) + more + _legend(batch.names))


def of_window(window: Window) -> str:
    """Return one window with a chart."""
    title = (
        f"Window {escape(str(window.key))} [{_time(window.start)}, {_time(window.end)}), {len(window)} events"
    )
    context = "".join(f" {escape(name)}={escape(str(value))}" for name, value in window.context.items())
    return _box(title, f"{_chart(window, width=420, height=90)}<br/>{_legend(window.names)}{context}")


def _chart(window: Window, *, width: int, height: int) -> str:
    values = window.values[:, :_MOST_FIELDS]
    columns = [[float(value) for value in column] for column in values.T]
    try:
        xs, span = [float(time) for time in window.timestamps], (float(window.start), float(window.end))
    except AttributeError:
        # Declared with timestamps=False: the events in their order.
        xs, span = [float(number) for number in range(len(window))], (0.0, float(max(len(window) - 1, 1)))
    label = f"{', '.join(window.names[:_MOST_FIELDS])} of {window.key!s} over time"
    return _svg.lines(xs, columns, span, label=label, width=width, height=height)


def _legend(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_FIELDS} more" if len(names) > _MOST_FIELDS else ""
    return _svg.legend(names[:_MOST_FIELDS]) + more


def _unit(model: "ModelSpec") -> str:
    return "every event" if isinstance(model, EventModelSpec) else _spelled(model.window)


def _spelled(window: "HoppingWindow") -> str:
    return f"{window.size} every {window.hop}, grace {window.grace}"


def _time(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")
    except (OverflowError, ValueError):
        return f"{ms} ms"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    above = "".join(f'<th style="text-align:left">{name}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table>{f'<thead><tr>{above}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _box(title: str, content: str) -> str:
    return f"<div><b>{title}</b><br/>{content}</div>"
