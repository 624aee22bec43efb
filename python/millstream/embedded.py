"""A broker inside this process, and the smallest of clients: for notebooks, demos and tests.

It is librdkafka's mock cluster on the loopback interface: it keeps everything in memory and has no
transactions. An app reaches it by `App(..., brokers="embedded")`.
"""

from millstream._core import Consumer, EmbeddedBroker, Producer

__all__ = ["Consumer", "EmbeddedBroker", "Producer"]
