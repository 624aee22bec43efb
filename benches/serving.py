"""What serving costs, as ratios of one run, on the embedded broker.

Batched calls against single ones; the sizes that batches find against the best fixed one; the calls that one
poison window in 256 costs; a padded model with and without length buckets; two workers against one on a model
that holds the interpreter lock. But for the padded one a model is a cost in seconds by the number of windows,
spent in an empty loop.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lengths
from millstream import App, Record, Topic, TumblingWindow, WindowBatch
from millstream._core import Consumer, EmbeddedBroker, Producer

ROOT = Path(__file__).parents[1]
Cost = Callable[[int], float]

MODELS: dict[str, Cost] = {
    "overhead-bound": lambda n: 200e-6 + 2e-6 * n,
    "linear": lambda n: 20e-6 * n,
    "superlinear": lambda n: 300e-6 + 2e-6 * n + 0.3e-6 * n * n,
}
KEYS = 1_000
BEGIN = 1_700_000_000_000


def spend(seconds: float) -> None:
    """Be busy for as long, whatever else the machine does."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def load(topic: str, windows: int, keys: int = KEYS) -> None:
    """Write one event for each of so many windows of a second, and the one that closes the last."""
    broker = EmbeddedBroker.get()
    broker.create_topic(topic, 1)
    producer = Producer(broker.brokers)
    for n in range(windows + 1):
        ts = BEGIN + 1_000 * (n // keys)
        producer.send(topic, b'{"ts": %d, "v": %d}' % (ts, n), key=b"%d" % (n % keys), timestamp=ts)
    producer.flush()
    producer.close()


def run(name: str, topic: str, predict: Callable[[WindowBatch], Any], **options: Any) -> dict[str, Any]:
    """Run a model over a topic up to its end; returns its counters and seconds."""
    calls: list[float] = []

    def timed(batch: WindowBatch) -> Any:
        calls.append(time.perf_counter())
        return predict(batch)

    return {**counted(name, topic, timed, **options), "seconds": calls[-1] - calls[0]}


def counted(name: str, topic: str, predict: Callable[[WindowBatch], Any], **options: Any) -> dict[str, Any]:
    """Run a model over a topic up to its end; returns its counters."""
    source = Topic(topic, timestamp="ts", timestamp_unit="ms", fields=["v"], idle_timeout=None)
    app = App(name, brokers="embedded")
    window = TumblingWindow("1s", grace="0s")
    app.model(source, window=window, sink=f"{name}.out", name="m", **options)(predict)
    app.run(until="end")
    counters: dict[str, Any] = app.metrics()["models"]["m"]
    return counters


def costing(cost: Cost) -> Callable[[WindowBatch], Any]:
    """Return a model of this cost."""

    def predict(batch: WindowBatch) -> Any:
        spend(cost(len(batch)))
        return batch.lengths

    return predict


def batched(windows: int) -> dict[str, Any]:
    """Windows per second of batches to those of single calls, the middle one of three pairs."""
    predict, ratios = costing(MODELS["overhead-bound"]), []
    single = max(windows // 20, KEYS)
    load("batched-1", single)
    load("batched-256", windows)
    for pair in range(3):
        rates = {}
        for most in (1, 256):
            counters = run(f"batched-{most}-{pair}", f"batched-{most}", predict, max_batch=most)
            rates[most] = counters["windows_produced"] / counters["seconds"]
        ratios.append(rates[256] / rates[1])
    ratio = statistics.median(ratios)
    return {"what": "batches against single calls, windows/s", "ratio": ratio, "goal": ">= 40"}


def adaptive(name: str, cost: Cost, windows: int) -> dict[str, Any]:
    """What the batches of a run cost per window, to those of the best fixed size of 1 to 256.

    Both by the model's own cost, so that the machine decides only what the search had to go by. The search
    itself is part of the run.
    """
    sizes: list[int] = []

    def predict(batch: WindowBatch) -> Any:
        sizes.append(len(batch))
        spend(cost(len(batch)))
        return batch.lengths

    load(f"adaptive-{name}", windows)
    run(f"adaptive-{name}-app", f"adaptive-{name}", predict)
    found = sum(map(cost, sizes)) / sum(sizes)
    best = min(range(1, 257), key=lambda n: cost(n) / n)
    what = f"{name}: sizes found against the best fixed one ({best}), cost/window"
    return {
        "what": what,
        "ratio": found / (cost(best) / best),
        "goal": "<= 1.10",
        "mean size": round(sum(sizes) / len(sizes)),
    }


def poison() -> dict[str, Any]:
    """Calls that one poison window in a batch of 256 costs."""
    calls = 0

    def predict(batch: WindowBatch) -> Any:
        nonlocal calls
        calls += 1
        if "137" in batch.keys:
            raise ValueError("poison")
        return batch.lengths

    app = App("poison")
    source = Topic("readings", timestamp="ts", timestamp_unit="ms", fields=["v"])
    app.model(source, window=TumblingWindow("1s", grace="0s"), sink="out", name="m")(predict)
    out = app.test({"readings": [Record({"ts": BEGIN, "v": n}, key=str(n)) for n in range(256)]})
    assert (len(out["out"]), len(out["poison.dead-letter"])) == (255, 1)
    return {"what": "calls for one poison window in 256", "ratio": calls, "goal": "<= 17"}


def in_python(batch: WindowBatch) -> dict[str, list[float]]:
    """A model that holds the interpreter lock, with the times between which it did."""
    begun = time.monotonic()
    spend(1e-3 * len(batch))
    return {"begun": [begun] * len(batch), "ended": [time.monotonic()] * len(batch)}


def rate(name: str, topic: str, windows: int, **options: Any) -> float:
    """Windows per second of that model, from its first call to the end of its last one."""
    counted(name, topic, in_python, max_batch=32, **options)
    consumer = Consumer(EmbeddedBroker.get().brokers, f"{name}.out")
    calls: list[dict[str, float]] = []
    while len(calls) < windows:
        calls += [json.loads(record[3] or b"") for record in consumer.poll(0.1)]
    consumer.close()
    return windows / (max(call["ended"] for call in calls) - min(call["begun"] for call in calls))


def side_by_side(pool: str, windows: int) -> dict[str, Any]:
    """Windows per second of two workers to those of one, the middle one of three pairs.

    A window takes a millisecond of the model, a hundred times what the engine and the broker take for it.
    """
    topic, ratios = f"{pool}-readings", []
    load(topic, windows)
    for pair in range(3):
        rates = [
            rate(f"{pool}-{workers}-{pair}", topic, windows, pool=pool, workers=workers) for workers in (1, 2)
        ]
        ratios.append(rates[1] / rates[0])
    goal = ">= 1.7 where two cores are free" if pool == "processes" else "1: they take turns"
    what = f"two workers against one in {pool}, pure Python, windows/s"
    return {"what": what, "ratio": statistics.median(ratios), "goal": goal}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Serving, measured")
    parser.add_argument("--windows", type=int, default=200_000, help="windows of the longest run")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-serving.json")
    options = parser.parse_args()
    figures = [batched(options.windows)]
    figures += [adaptive(name, cost, options.windows // 2) for name, cost in MODELS.items()]
    figures.append(poison())
    figures.append(lengths.padded(options.windows // 100))
    figures += [side_by_side(pool, max(options.windows // 50, KEYS)) for pool in ("threads", "processes")]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    for figure in figures:
        more = "".join(f", {name} {figure[name]}" for name in ("mean size", "padding") if name in figure)
        print(f"{figure['what']}: {figure['ratio']:.3g} (goal {figure['goal']}{more})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
