"""HopList on Quix Streams: `python quix_job.py JSON`, until it is told to stop."""

import json
import sys

from quixstreams import Application

spec = json.loads(sys.argv[1])
app = Application(
    spec["brokers"],
    consumer_group=spec["name"],
    auto_offset_reset="earliest",
    processing_guarantee="at-least-once",
    state_dir=spec["directory"],
    loglevel="WARNING",
)


def event_time(value, headers, timestamp, timestamp_type):
    """The field, not the record's timestamp."""
    return value["ts"]


def result(window, key, timestamp, headers):
    """What the model makes of the values of a window."""
    values = window["value"]
    bounds = {"start": window["start"], "end": window["end"]}
    return {"key": key, "window": bounds, "n_events": len(values), "mean": sum(values) / len(values)}


readings = app.topic(
    spec["topic"], key_deserializer="str", value_deserializer="json", timestamp_extractor=event_time
)
results = app.topic(spec["sink"], key_serializer="str", value_serializer="json")

sdf = app.dataframe(readings).apply(lambda reading: reading["v"])
windows = sdf.hopping_window(spec["size_ms"], spec["hop_ms"], grace_ms=spec["grace_ms"]).collect()
# By key: each key closes its own windows. Closing those of the whole partition costs as much.
sdf = windows.final(closing_strategy="key")
sdf.apply(result, metadata=True).to_topic(results)

app.run()
