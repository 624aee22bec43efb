"""A watcher of committed offsets: they only go up, and they go up as long as there is work."""

from __future__ import annotations

import threading
import time

from aiokafka.errors import KafkaError
from kafka.clients import Kafka

EVERY = 0.3  # seconds


class Watch:
    """Samples what a group has committed, in a thread of its own."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        """Begins with the `with` block."""
        self.bootstrap, self.group, self.topic = bootstrap, group, topic
        self.offsets: dict[int, int] = {}
        self.samples = 0
        self.backwards: list[str] = []
        self.moved: dict[int, list[tuple[float, int]]] = {}  # partition -> moments and offsets
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        """Start to sample."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stopped.set()
        self._thread.join()

    @property
    def total(self) -> int:
        """The sum of the committed offsets, as of the last sample."""
        return sum(self.offsets.values())

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with Kafka(self.bootstrap) as kafka:
                    while not self._stopped.wait(EVERY):
                        self._look(kafka)
            except (KafkaError, OSError, TimeoutError):  # a broker that is away: nothing to see
                self._stopped.wait(EVERY)

    def _look(self, kafka: Kafka) -> None:
        now = time.monotonic()
        for partition, (offset, _) in kafka.committed(self.group, self.topic).items():
            before = self.offsets.get(partition, -1)
            if offset < before:
                self.backwards.append(f"partition {partition}: {before}, then {offset}")
            if offset != before:
                self.moved.setdefault(partition, []).append((now, offset))
            self.offsets[partition] = offset
        self.samples += 1
