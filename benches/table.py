"""What was measured, as tables: the middle of the runs of each entry, ratios to copy job and peers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from peer import PEERS, PYTHON_PEERS
from workload import Entry, Guarantee

HEAD = (
    "entry",
    "guarantee",
    "events/s",
    "low..high",
    "CPU us/event",
    "MiB",
    "to copy",
    "CPU to copy",
    "windows",
)
PEER_HEAD = ("Millstream, exactly once, to", "r", "events/s", "goal", "CPU/event")
FAULTS = ("missing", "repeated", "wrong")
BEST_PYTHON = "best Python peer"
# Times as many events a second, by size in seconds.
GOALS = {("flink", 10): 5, ("ks-panes", 10): 7, (BEST_PYTHON, 10): 30}
GOALS |= {("flink", 60): 15, ("ks-panes", 60): 5, (BEST_PYTHON, 60): 150}
Figures = dict[str, Any]
Runs = dict[Entry, list[Figures]]


def middle(runs: Sequence[Figures], name: str) -> float:
    """The median of a figure."""
    return float(median(run[name] for run in runs))


def summary(runs: Runs) -> list[Figures]:
    """One dict per entry: medians, extremes, ratios, and the worst that the check of the windows found."""
    order = sorted(runs, key=lambda entry: (entry.job in PEERS, entry.size if entry.job in PEERS else 0))
    return [_entry(entry, runs[entry], runs) for entry in order]


def _entry(entry: Entry, measured: list[Figures], runs: Runs) -> Figures:
    rates = [run["events_per_s"] for run in measured]
    figures = {
        "job": entry.job,
        "title": entry.title.replace(entry.job, PEERS[entry.job].title)
        if entry.job in PEERS
        else entry.title,
        "size_s": entry.size if entry.windowed else None,
        "guarantee": entry.guarantee if entry.produces else None,
        "events_per_s": middle(measured, "events_per_s"),
        "lowest": min(rates),
        "highest": max(rates),
        "cpu_us_per_event": middle(measured, "cpu_us_per_event"),
        "peak_mib": max(run["peak_mib"] for run in measured),
    }
    if "prefix" in measured[0]:
        figures["prefix"] = middle(measured, "prefix")
    if entry.job == "millstream" and (copies := runs.get(entry.copy)):
        # Run by run: a neighbour that takes the processor for a minute takes it from both.
        pairs = list(zip(measured, copies, strict=True))
        for name in ("events_per_s", "cpu_us_per_event"):
            figures[f"{name}_to_copy"] = float(median(own[name] / copy[name] for own, copy in pairs))
    if checks := [run["check"] for run in measured if "check" in run]:
        figures["check"] = {name: max(check[name] for check in checks) for name in checks[0]}
    return figures


def against_peers(entries: Sequence[Figures], guarantee: Guarantee = "exactly_once") -> list[Figures]:
    """How many times as fast Millstream is as each peer of its size, and what part of its CPU a peer's is."""
    own = {
        entry["size_s"]: entry
        for entry in entries
        if (entry["job"], entry["guarantee"]) == ("millstream", guarantee)
    }
    peers = [
        entry
        for entry in entries
        if entry["job"] in PEERS and entry["size_s"] in own and entry["events_per_s"]
    ]
    compared = [_compare(peer["job"], PEERS[peer["job"]].title, own[peer["size_s"]], peer) for peer in peers]
    for size in own:
        python = [peer for peer in peers if peer["job"] in PYTHON_PEERS and peer["size_s"] == size]
        if python:
            best = max(python, key=lambda peer: float(peer["events_per_s"]))
            compared.append(
                _compare(BEST_PYTHON, f"{BEST_PYTHON}: {PEERS[best['job']].title}", own[size], best)
            )
    return compared


def _compare(job: str, title: str, own: Figures, peer: Figures) -> Figures:
    return {
        "peer": job,
        "title": title,
        "size_s": peer["size_s"],
        "events_per_s": own["events_per_s"] / peer["events_per_s"],
        "cpu_us_per_event": peer["cpu_us_per_event"] / own["cpu_us_per_event"],
        "goal": GOALS.get((job, peer["size_s"])),
    }


def render(entries: Iterable[Figures]) -> str:
    """The table of all entries as text."""
    return columns([HEAD, *(_row(entry) for entry in entries)])


def render_peers(compared: Iterable[Figures]) -> str:
    """The ratios to the peers as text."""
    rows = [
        (
            peer["title"],
            str(peer["size_s"]),
            f"{peer['events_per_s']:.1f}",
            f"{peer['goal']}" if peer["goal"] else "",
            f"{peer['cpu_us_per_event']:.1f}",
        )
        for peer in compared
    ]
    return columns([PEER_HEAD, *rows])


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text, in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _row(entry: Figures) -> tuple[str, ...]:
    return (
        entry["title"],
        (entry["guarantee"] or "").replace("_", " "),
        f"{entry['events_per_s']:,.0f}",
        _range(entry["lowest"], entry["highest"]),
        f"{entry['cpu_us_per_event']:.2f}",
        f"{entry['peak_mib']:,.0f}",
        _ratio(entry, "events_per_s_to_copy"),
        _ratio(entry, "cpu_us_per_event_to_copy"),
        windows(entry.get("check")) + (f", in {entry['prefix']:,.0f} events" if "prefix" in entry else ""),
    )


def _range(low: float, high: float) -> str:
    return f"{low / 1e6:.2f}..{high / 1e6:.2f}M" if low < high else ""


def _ratio(entry: Figures, name: str) -> str:
    return f"{entry[name]:.2f}" if name in entry else ""


def windows(check: dict[str, int] | None) -> str:
    """What the check of the windows found."""
    if check is None:
        return ""
    faults = ", ".join(f"{check[name]:,} {name}" for name in FAULTS if check[name])
    return f"{check['expected']:,}: {faults or 'all right'}"
