"""What was measured, as one table: the middle of the runs of each entry, and ratios to the copy job."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from workload import Entry, Guarantee

HEAD = ("entry", "guarantee", "events/s", "low..high", "CPU us/event", "to copy", "CPU to copy", "windows")
Runs = dict[Entry, list[dict[str, Any]]]


def middle(runs: Sequence[dict[str, Any]], name: str) -> float:
    """The median of a figure."""
    return float(median(run[name] for run in runs))


def summary(runs: Runs) -> list[dict[str, Any]]:
    """One dict per entry: medians, extremes, ratios, and the worst that the check of the windows found."""
    return [_entry(entry, measured, runs) for entry, measured in runs.items()]


def _entry(entry: Entry, measured: list[dict[str, Any]], runs: Runs) -> dict[str, Any]:
    rates = [run["events_per_s"] for run in measured]
    figures = {
        "job": entry.job,
        "size_s": entry.size if entry.job == "millstream" else None,
        "guarantee": entry.guarantee if entry.produces else None,
        "events_per_s": middle(measured, "events_per_s"),
        "lowest": min(rates),
        "highest": max(rates),
        "cpu_us_per_event": middle(measured, "cpu_us_per_event"),
    }
    if entry.job == "millstream" and (copies := runs.get(_copy(entry.guarantee))):
        # Run by run: a neighbour that takes the processor for a minute takes it from both.
        pairs = list(zip(measured, copies, strict=True))
        for name in ("events_per_s", "cpu_us_per_event"):
            figures[f"{name}_to_copy"] = float(median(own[name] / copy[name] for own, copy in pairs))
    if checks := [run["check"] for run in measured if "check" in run]:
        figures["check"] = {name: max(check[name] for check in checks) for name in checks[0]}
    return figures


def _copy(guarantee: Guarantee) -> Entry:
    return Entry("copy", guarantee=guarantee)


def render(entries: Sequence[dict[str, Any]]) -> str:
    """The table as text."""
    rows = [HEAD, *(_row(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    size = entry["size_s"]
    return (
        entry["job"] if size is None else f"{entry['job']}, r = {size}",
        (entry["guarantee"] or "").replace("_", " "),
        f"{entry['events_per_s']:,.0f}",
        f"{entry['lowest'] / 1e6:.2f}..{entry['highest'] / 1e6:.2f}M",
        f"{entry['cpu_us_per_event']:.2f}",
        _ratio(entry, "events_per_s_to_copy"),
        _ratio(entry, "cpu_us_per_event_to_copy"),
        _windows(entry.get("check")),
    )


def _ratio(entry: dict[str, Any], name: str) -> str:
    return f"{entry[name]:.2f}" if name in entry else ""


def _windows(check: dict[str, int] | None) -> str:
    if check is None:
        return ""
    faults = ", ".join(f"{check[name]} {name}" for name in ("missing", "repeated", "wrong") if check[name])
    return f"{check['expected']:,}: {faults or 'all right'}"
