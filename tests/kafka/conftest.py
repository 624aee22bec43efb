"""Fixtures: one broker for the session, and for each test topics, names and workers of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .broker import Broker
from .clients import Kafka
from .job import Job
from .judge import Source
from .oracle import Model
from .runner import Workers

NewJob = Callable[..., Job]
HERE = Path(__file__).parent
SECONDS = 300  # a hang ends so late, unless a test says otherwise


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the broker; on a busy machine it alone may take a minute to start."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")
        if item.path.parent == HERE and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A client of a broker that lives as long as the session."""
    with Broker() as broker, Kafka(broker.bootstrap) as kafka:
        yield kafka


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(kafka: Kafka, name: str) -> str:
    """A new topic of four partitions."""
    kafka.create_topic(name)
    return name


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """A starter of worker processes."""
    workers = Workers(tmp_path)
    yield workers
    workers.end()


@pytest.fixture
def new_job(kafka: Kafka, name: str, workers: Workers) -> NewJob:
    """Make a job and its source topic; `source` and `job` are more of `Source` and `Job`."""

    def make(
        *models: Model,
        partitions: int = 4,
        source: dict[str, Any] | None = None,
        config: dict[str, str] | None = None,
        **job: Any,
    ) -> Job:
        topic = f"{name}.source"
        kafka.create_topic(topic, partitions, **(config or {}))
        return Job(kafka, workers, name, Source(topic, **(source or {})), models, **job)

    return make
