"""The figures of a run: summed up, and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

SUMS = ("windows", "lost", "duplicated", "wrong", "repeats", "hidden", "late", "dead")


def summary(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """The seeds together."""
    faults: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome["faults"])
    sums = {name: sum(outcome["tally"][name] for outcome in outcomes) for name in SUMS}
    return {
        "seeds": [outcome["seed"] for outcome in outcomes],
        "faults": faults.total(),
        "faults_while_unfinished": sum(outcome["unfinished"] for outcome in outcomes),
        "faults_by_kind": dict(sorted(faults.items())),
        "takeovers": sum(outcome["takeovers"] for outcome in outcomes),
        "events": sum(outcome["events"] for outcome in outcomes),
        "members": sum(outcome["members"] for outcome in outcomes),
        "offset_samples": sum(outcome["samples"] for outcome in outcomes),
        "went_back": sum("offsets forward" in outcome["tally"]["failures"] for outcome in outcomes),
        "seconds": round(sum(outcome["seconds"] for outcome in outcomes)),
        **sums,
        "failed": {str(o["seed"]): o["tally"]["failures"] for o in outcomes if o["tally"]["failures"]},
    }


def render(found: dict[str, Any]) -> str:
    """The table."""
    lines: list[tuple[str, str]] = []
    if "seeds" in found:
        lines += seed_lines(found["seeds"])
    if "mutants" in found:
        mutants = found["mutants"]
        killed = [mutant for mutant in mutants if mutant["killed_by"]]
        lines.append(("mutants killed", f"{len(killed)} of {len(mutants)}"))
        lines += [(f"  {mutant['mutant']}", mutant["killed_by"] or "SURVIVED") for mutant in mutants]
    if "figures" in found:
        lines += figure_lines(found["figures"])
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


def seed_lines(seeds: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """What the seeds showed."""
    yield "seeds", f"{len(seeds['seeds'])} in {seeds['seconds']} s, {seeds['members']} processes"
    yield "faults", f"{seeds['faults']:,}, {seeds['faults_while_unfinished']:,} while work was unfinished"
    for kind, number in seeds["faults_by_kind"].items():
        yield f"  {kind}", f"{number:,}"
    yield "events", f"{seeds['events']:,}"
    yield "windows checked", f"{seeds['windows']:,}"
    yield "windows lost", f"{seeds['lost']:,}"
    yield "windows duplicated", f"{seeds['duplicated']:,}"
    yield "windows wrong", f"{seeds['wrong']:,}"
    yield "late events, dead letters", f"{seeds['late']:,}, {seeds['dead']:,}"
    yield "hidden aborted records", f"{seeds['hidden']:,}"
    yield "repeats at least once", f"{seeds['repeats']:,}"
    yield "committed offsets sampled", f"{seeds['offset_samples']:,}, back in {seeds['went_back']} seeds"
    for seed, failures in seeds["failed"].items():
        yield f"seed {seed} FAILED", ", ".join(failures)


def figure_lines(figures: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """What was measured."""
    recovery, outage = figures["recovery"], figures["outage"]
    shown = f"p50 {recovery['p50_s']} s, p99 {recovery['p99_s']} s, worst {recovery['worst_s']} s"
    yield "recovery after SIGKILL", f"{shown} ({recovery['kills']} kills, session {recovery['session_s']} s)"
    beyond, growth = outage["longest_stall_beyond_s"], outage["rss_growth_mib"]
    yield f"broker away {outage['away_s']} s", f"stall {beyond} s beyond it, memory +{growth} MiB"
    replay = figures["replay"]
    yield "replay against live ingest", f"{replay['ratio']:.2f} ({replay['events']:,} events)"
    for epoch, rates in figures["throughput"]["epochs"].items():
        once, least = rates["exactly_once"], rates["at_least_once"]
        ratio = f"{rates['ratio']:.2f} ({once:,.0f} and {least:,.0f} events/s)"
        yield f"exactly/at least once, epoch {epoch}", ratio


def failed(found: dict[str, Any]) -> list[str]:
    """Why the run is not a success."""
    reasons = []
    if "seeds" in found:
        seeds = found["seeds"]
        reasons += [f"seed {seed}: {', '.join(checks)}" for seed, checks in seeds["failed"].items()]
        if not seeds["hidden"]:
            reasons.append("no transaction was aborted: the faults had no teeth")
    for mutant in found.get("mutants", []):
        if not mutant["killed_by"]:
            reasons.append(f"mutant {mutant['mutant']} survived")
        if mutant.get("whole"):
            reasons.append(
                f"whole workers failed the run of {mutant['mutant']}: {', '.join(mutant['whole'])}"
            )
    return reasons
