"""HopList on Bytewax: `python bytewax_job.py JSON`, until it is told to stop."""

import json
import sys
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

spec = json.loads(sys.argv[1])
SIZE, HOP, GRACE = (timedelta(milliseconds=spec[name]) for name in ("size_ms", "hop_ms", "grace_ms"))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Window 0 begins here; near the data, as the window of an event is looked for from here.
ALIGN = datetime(2023, 1, 1, tzinfo=UTC)
ALIGN_MS = int(ALIGN.timestamp() * 1000)
BATCH = 1000  # records of a poll


def parse(message):
    """Key and reading of a record."""
    reading = orjson.loads(message.value)
    return reading["sensor"], (reading["ts"], reading["v"])


def event_time(reading):
    """The time of a reading."""
    return datetime.fromtimestamp(reading[0] / 1000, UTC)


def result(item):
    """What the model makes of the values of a window."""
    key, (window, readings) = item
    start = ALIGN_MS + window * spec["hop_ms"]
    values = [value for _, value in readings]
    row = {
        "key": key,
        "window": {"start": start, "end": start + spec["size_ms"]},
        "n_events": len(values),
        "mean": sum(values) / len(values),
    }
    return KafkaSinkMessage(key.encode(), orjson.dumps(row))


# A clock that stands still. With the system's, the watermark of a key also rises as wall time goes by,
# and a key that waits its turn in a backlog finds its events late.
clock = win.EventClock(event_time, GRACE, now_getter=lambda: EPOCH, to_system_utc=lambda _: None)

flow = Dataflow("hoplist")
source = kafka.input("readings", flow, brokers=[spec["brokers"]], topics=[spec["topic"]], batch_size=BATCH)
readings = op.map("parse", source.oks, parse)
windows = win.collect_window("windows", readings, clock, win.SlidingWindower(SIZE, HOP, ALIGN))
rows = op.map("mean", windows.down, result)
kafka.output("results", rows, brokers=[spec["brokers"]], topic=spec["sink"])

cli_main(flow)
