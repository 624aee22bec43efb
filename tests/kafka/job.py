"""One app as a test sees it: its topics, its models, its runs, and what the oracle says of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .clients import Kafka
from .judge import Source
from .oracle import Model, Verdict, expect
from .records import Log
from .runner import SECONDS, Worker, Workers

Guarantee = Literal["exactly_once", "at_least_once"]
# Much longer than a busy machine stops anybody: what is counted, counts again after a lost session.
MEMBER = {"session.timeout.ms": 45_000, "heartbeat.interval.ms": 500}
# Short, where what a killed or stopped member held is to be taken over soon.
SHORT = {"session.timeout.ms": 6_000}


@dataclass
class Job:
    """An app named `app` that reads `source`; each model's results go to a topic of its own."""

    kafka: Kafka
    workers: Workers
    app: str
    source: Source
    models: tuple[Model, ...]
    guarantee: Guarantee = "exactly_once"
    settings: dict[str, Any] = field(default_factory=dict)  # more keywords of App
    delay: float = 0.0  # seconds that a call of a model takes
    poison: int = 0  # models raise on windows whose first seq is a multiple of it, and on such events
    hang: int = 0  # models never return from a window with this seq
    scorers: tuple[dict[str, Any], ...] = ()  # keywords of `app.batch`

    def sink(self, model: Model) -> str:
        """Where a model's results go."""
        return f"{self.app}.{model.name}"

    @property
    def late_topic(self) -> str:
        """Where late events go, by default."""
        return f"{self.app}.late"

    @property
    def dead_letter_topic(self) -> str:
        """Where dead letters go, by default."""
        return f"{self.app}.dead-letter"

    def start(self, **run: Any) -> Worker:
        """Start a worker; `run` goes to `App.run`."""
        return self.workers.start(self.config(run))

    def run(self, **run: Any) -> dict[str, Any]:
        """Run a worker up to the ends of the sources; returns its final metrics."""
        return self.start(until="end", **run).finish()

    def config(self, run: dict[str, Any]) -> dict[str, Any]:
        """What `worker.py` reads."""
        settings = {"brokers": self.kafka.bootstrap, "guarantee": self.guarantee, **self.settings}
        settings["kafka"] = {**MEMBER, **self.settings.get("kafka", {})}
        return {
            "app": {"name": self.app, **settings},
            "topics": [topic(self.source)],
            "models": [model_of(model, self.source.topic, self.sink(model)) for model in self.models],
            "scorers": [{"source": self.source.topic, **scorer} for scorer in self.scorers],
            "run": run,
            "delay": self.delay,
            "poison": self.poison,
            "hang": self.hang,
        }

    def delete_source(self) -> None:
        """Delete the source, and wait until the broker has forgotten the group's offsets on it, too."""
        self.kafka.delete_topic(self.source.topic)
        deadline = time.monotonic() + SECONDS
        while self.ends():
            assert time.monotonic() < deadline, f"the offsets on {self.source.topic} stay"
            time.sleep(0.05)

    def expected(
        self, drains: Iterable[Mapping[int, int]] = (), since: Mapping[int, int] | None = None
    ) -> Verdict:
        """The oracle's verdict on the source; it marks the topic's end, so no run may come after it."""
        log = self.kafka.read(self.source.topic)
        return expect(log, self.source, self.models, drains=drains, since=since)

    def results(self, model: Model) -> Log:
        """A model's output as a user reads it."""
        return self.kafka.read(self.sink(model))

    def progress(self) -> int:
        """The sum of the group's committed offsets on the source; a commit under way may still raise it."""
        return sum(offset for offset, _ in self.kafka.committed(self.app, self.source.topic).values())

    def ends(self) -> dict[int, int]:
        """The group's committed offset on each partition of the source."""
        return {p: offset for p, (offset, _) in self.committed().items()}

    def committed(self) -> dict[int, tuple[int, str]]:
        """What the group has committed on each partition of the source: the offset, and what goes with it."""
        return self.kafka.committed(self.app, self.source.topic, stable=True)


def topic(source: Source) -> dict[str, Any]:
    """The keywords of `Topic`; no wall clock moves a window unless the test says so."""
    ahead = None if source.max_future is None else f"{source.max_future}ms"
    return {
        "name": source.topic,
        "key": source.key,
        "timestamp": source.timestamp,
        "fields": list(source.fields),
        "max_future": ahead,
        "idle_timeout": None,
        **source.options,
    }


def model_of(model: Model, source: str, sink: str) -> dict[str, Any]:
    """The keywords of `app.model`; durations as text."""
    spans = {name: f"{getattr(model, name)}ms" for name in ("size", "hop", "grace", "offset")}
    window = {**spans, "min_events": model.min_events}
    spec = {"name": model.name, "version": "1", "source": source, "sink": sink}
    return {**spec, "window": window, **model.options}
