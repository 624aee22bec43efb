"""No training-serving skew: a backtest of a log gives what the live run of it gave, bit for bit."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from millstream import App, HoppingWindow, Topic, WindowBatch

from .clients import Kafka
from .load import load
from .records import Log, Record

Place = tuple[int, bytes, int]


@dataclass
class Echo:
    """A model whose results depend on every bit of its windows; it keeps the arrays."""

    seen: dict[Place, tuple[bytes, bytes]] = field(default_factory=dict)

    def __call__(self, batch: WindowBatch) -> dict[str, Any]:
        """Return sums and the values themselves."""
        for window in batch:
            key = window.key.encode() if isinstance(window.key, str) else window.key
            place = (window.partition, key, window.start)
            assert place not in self.seen, "a window that came twice"
            self.seen[place] = (window.values.tobytes(), window.timestamps.tobytes())
        return {
            "mean": np.add.reduceat(batch["x"], batch.row_splits[:-1]) / batch.lengths,
            "y": [window["y"].tolist() for window in batch],
            "site": [None if site is None else str(site) for site in batch.context["site"]],
        }


def make(source: str, brokers: str, echo: Echo) -> App:
    """Return the app, which drops what is late."""
    app = App(source, brokers=brokers, dead_letter_topic=f"{source}.dead", late_topic=f"{source}.late")
    readings = Topic(
        source,
        timestamp="ts",
        timestamp_unit="ms",
        fields=["x", "y"],
        context=["site"],
        missing="nan",
        idle_timeout=None,
    )
    window = HoppingWindow("10s", hop="3s", grace="2s", offset="500ms")
    app.model(readings, window=window, sink=f"{source}.out", name="m", late="topic", max_batch=50)(echo)
    return app


def readings(count: int) -> list[Record]:
    """Return events with floats of all sizes, late ones, missing ones, and some that are no events."""
    numbers = random.Random(11)
    made = []
    for record in load(count, span=150_000):
        value = {
            "ts": record.json["ts"] + 4_000_000 * (numbers.random() < 0.005),
            "x": numbers.gauss(0, 1) * 10.0 ** numbers.randrange(-300, 300, 25),
            "y": numbers.choice([None, numbers.randrange(-(2**60), 2**60), 0.1, True]),
            "site": numbers.choice(["hall", "ё", None]),
        }
        key = None if numbers.random() < 0.005 else record.key
        made.append(Record(record.partition, key, json.dumps(value).encode(), record.timestamp))
    return made


def as_frame(log: Log) -> pl.DataFrame:
    """Return a log as a frame, its partitions mixed at random, each in its order."""
    numbers, heads = random.Random(5), {p: iter(records) for p, records in log.items() if records}
    rows: list[Mapping[str, Any]] = []
    while heads:
        partition = numbers.choice(list(heads))
        record = next(heads[partition], None)
        if record is None:
            del heads[partition]
            continue
        own = {"partition": partition, "offset": record.offset, "timestamp": record.timestamp}
        y = record.json["y"]
        rows.append({**record.json, "y": None if y is None else float(y), "key": record.key, **own})
    return pl.DataFrame(rows, schema_overrides={"key": pl.Binary, "y": pl.Float64}, infer_schema_length=None)


COLUMNS = ("start", "end", "key", "n_events", "mean", "y", "site")


def row_of(record: Record) -> tuple[Any, ...]:
    """Return a result as a frame has it."""
    value = record.json
    bounds = (value["window"]["start"], value["window"]["end"])
    return (*bounds, record.key, value["n_events"], value["mean"], value["y"], value["site"])


def origins(log: Log, *headers: str) -> set[tuple[str, ...]]:
    """Return where the records of a topic of ours come from."""
    names = ("partition", "offset", *headers)
    return {tuple(map(record.header, names)) for records in log.values() for record in records}


def test_a_backtest_in_row_order_gives_what_the_run_gave_bit_for_bit(kafka: Kafka, topic: str) -> None:
    kafka.produce(topic, readings(20_000))
    live = Echo()
    app = make(topic, kafka.bootstrap, live)
    app.run(until="end")
    counted = app.metrics()
    frame = as_frame(kafka.read(topic))
    written, late, dead = (kafka.read(f"{topic}.{name}") for name in ("out", "late", "dead"))
    assert len(live.seen) > 1_000
    assert {reason for _, _, reason in origins(dead, "reason")} == {"missing_key", "future_timestamp"}

    for workers in (1, 3):
        offline = Echo()
        again = make(topic, kafka.bootstrap, offline)
        results, dropped = again.backtest(frame, order="row", drain=False, workers=workers, with_dropped=True)
        assert offline.seen == live.seen
        for partition, records in written.items():
            mine = results.filter(pl.col("partition") == partition)
            assert mine.select(COLUMNS).rows() == [row_of(record) for record in records]
        was_late = pl.col("reason") == "late"
        assert dropped.filter(was_late)["windows"].sum() == counted["late_pairs"] > 500
        places = dropped.with_columns(pl.col("partition", "offset").cast(pl.String))
        assert set(places.filter(was_late).select("partition", "offset").rows()) == origins(late)
        rows = places.filter(~was_late).select("partition", "offset", "reason").rows()
        assert set(rows) == origins(dead, "reason")
        assert again.metrics()["consumed"] == counted["consumed"]
