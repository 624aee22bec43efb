"""Run your Python model on every window of a Kafka stream."""

from millstream._app import App
from millstream._core import Event, EventBatch, Window, WindowBatch, __version__
from millstream._disorder import Disorder
from millstream._records import Advance, Record
from millstream._topic import Topic
from millstream._windows import HoppingWindow, TumblingWindow
from millstream.errors import (
    ConfigError,
    DecodeError,
    FencedError,
    KafkaError,
    LostHistoryError,
    MillstreamError,
    ModelError,
    StateLimitError,
)

__all__ = [
    "Advance",
    "App",
    "ConfigError",
    "DecodeError",
    "Disorder",
    "Event",
    "EventBatch",
    "FencedError",
    "HoppingWindow",
    "KafkaError",
    "LostHistoryError",
    "MillstreamError",
    "ModelError",
    "Record",
    "StateLimitError",
    "Topic",
    "TumblingWindow",
    "Window",
    "WindowBatch",
    "__version__",
]

# Tracebacks and help() then show the path that users import; the compiled classes say so themselves.
for _name in __all__:
    _public = globals()[_name]
    if isinstance(_public, type) and _public.__module__.startswith("millstream."):
        _public.__module__ = __name__
del _name, _public
