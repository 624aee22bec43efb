"""HopList on Faust: `python faust_job.py JSON`, until it is told to stop.

Each setting of the table writes the whole list to the changelog, so that a window is set once for many
events. It is handed over when it expires. That goes by the wall clock, whatever the time of the events, so
a backlog is cut to pieces; and what expires after a later window, of another partition even, is dropped. No
`expires` avoids both.
"""

import json
import sys
import time
from collections import defaultdict

import faust
from faust.windows import HoppingWindow

spec = json.loads(sys.argv[1])
SIZE, HOP, GRACE = (spec[name] / 1000 for name in ("size_ms", "hop_ms", "grace_ms"))
BATCH = 200  # events of a partition

app = faust.App(
    spec["name"],
    broker=f"kafka://{spec['brokers']}",
    store="memory://",
    datadir=spec["directory"],
    topic_partitions=spec["partitions"],
    topic_replication_factor=1,
    table_cleanup_interval=1.0,
    web_enabled=False,
)
readings = app.topic(spec["topic"], value_serializer="json", key_serializer="raw")
results = app.topic(spec["sink"], value_serializer="json", key_serializer="raw")
window = HoppingWindow(SIZE, HOP, expires=GRACE)
consumed = [0] * spec["partitions"]


async def emit(key, values):
    """What the model makes of the values of a window."""
    sensor, (start, _) = key
    bounds = {"start": round(start * 1000), "end": round((start + SIZE) * 1000)}
    row = {"key": sensor, "window": bounds, "n_events": len(values), "mean": sum(values) / len(values)}
    await results.send(key=sensor.encode(), value=row)


table = app.Table("windows", default=list, partitions=spec["partitions"], on_window_close=emit)
table.using_window(window)


def collect(events):
    """Add the values of events of one partition to all windows that they are in."""
    lists = defaultdict(list)
    for event in events:
        reading = event.value
        for bounds in window.ranges(reading["ts"] / 1000):
            lists[reading["sensor"], bounds].append(reading["v"])
    for key, values in lists.items():
        table[key] = table[key] + values
    message = events[-1].message
    consumed[message.partition] = message.offset + 1


@app.agent(readings)
async def read(stream):
    """Gather the events of each partition."""
    waiting = defaultdict(list)
    async for event in stream.events():
        events = waiting[event.message.partition]
        events.append(event)
        if len(events) >= BATCH:
            collect(events)
            events.clear()


@app.timer(0.5)
async def tell():
    """Say how far it has come, as its results do not. Faust takes `sys.stdout` for its log."""
    print(json.dumps({"time": time.time(), "consumed": consumed}), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "-l", "warn", "--without-web"]
    app.main()
