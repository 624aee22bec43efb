"""An app that runs on the embedded broker on a thread of its own, its status page, and a plain client."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import quote, urlsplit

from millstream import App, EventBatch, HoppingWindow, Topic, WindowBatch
from millstream._core import EmbeddedBroker, Producer

TIMEOUT_S = 60.0
CANARY = "c4nary-of-a-secret"
SCRIPT = "<script>alert(1)</script>"
LATENCY = "millstream_end_to_end_latency_seconds"


def mean(batch: WindowBatch) -> dict[str, Any]:
    """The model of windows."""
    if "poison" in batch.keys:
        raise ValueError("no mean of poison")
    return {"mean": [float(window.values.mean()) for window in batch]}


def score(batch: EventBatch) -> list[float | None]:
    """The model of single events; it has nothing to say of the key b."""
    if "poison" in batch.keys:
        raise ValueError("no score of poison")
    return [None if event.key == "b" else float(event["v"]) for event in batch]


class Served:
    """Runs an app called like its topic from `__enter__` to `__exit__`.

    Args:
        name: Of the app; its source topic is `{name}.readings`, with two partitions.
        web: Where the page is.
        of_events: Its model scores single events, and there is none of windows.
    """

    def __init__(self, name: str, web: str = "127.0.0.1:0", *, of_events: bool = False) -> None:
        self.name = name
        self.topic = f"{name}.readings"
        broker = EmbeddedBroker.get()
        broker.create_topic(self.topic, 2)
        self._producer = Producer(broker.brokers)
        self.app = App(name, brokers="embedded", web=web, kafka={"sasl.password": CANARY})
        readings = Topic(self.topic, timestamp="ts", timestamp_unit="ms", fields=["v"], idle_timeout=None)
        if of_events:
            self.app.batch(readings, sink=f"{name}.results", name="score")(score)
        else:
            window = HoppingWindow("10s", hop="5s", grace="2s")
            self.app.model(source=readings, window=window, sink=f"{name}.results", name="mean")(mean)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="app")

    def _run(self) -> None:
        try:
            self.app.run()
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait(lambda: self.app.web_url is not None)
        url = self.app.web_url
        assert url is not None
        self.url = url
        return self

    def __exit__(self, *_: object) -> None:
        engine = self.app._engine
        assert engine is not None
        engine.stop()
        self._thread.join(TIMEOUT_S)
        self._producer.close()
        assert not self._thread.is_alive()
        assert self.error is None

    def send(self, ts: int, v: float = 1.0, *, key: str = "a", partition: int = 0) -> None:
        """Send a reading."""
        self.send_raw(json.dumps({"ts": ts, "v": v}).encode(), key=key, partition=partition)

    def send_raw(self, value: bytes, *, key: str = "a", partition: int = 0) -> None:
        """Send any bytes."""
        self._producer.send(self.topic, value, key=key.encode(), partition=partition)

    def flush(self) -> None:
        """Wait until all is sent."""
        self._producer.flush()

    def wait(self, ready: Callable[[], object]) -> None:
        """Wait until `ready` returns something that counts as true."""
        deadline = time.monotonic() + TIMEOUT_S
        while not ready():
            assert self.error is None, self.error
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of a GET."""
        return request(self.url, "GET", path, headers)

    def json(self, path: str) -> Any:
        """Return what a path says in JSON."""
        status, _, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def key(self, key: str) -> Any:
        """Return what is known of a key, once all lanes have found the time to say what they hold of it."""
        answers: list[Any] = []

        def complete() -> bool:
            answers.append(self.json(f"/api/keys/{quote(key, safe='')}"))
            return bool(answers[-1]["complete"])

        self.wait(complete)
        return answers[-1]

    def metrics(self) -> dict[str, float]:
        """Return the samples of `/metrics` by name and labels."""
        status, _, body = self.get("/metrics")
        assert status == 200
        lines = (line for line in body.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def request(url: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers by name in small letters, and body; `_` in a name stands for `-`."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    try:
        connection.request(
            method, path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        response = connection.getresponse()
        body = response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body
    finally:
        connection.close()


def listens(url: str) -> bool:
    """Whether a server answers at an address."""
    where = urlsplit(url)
    try:
        with socket.create_connection((where.hostname, where.port), TIMEOUT_S) as connection:
            # Where nobody listens, a client whose own port happens to be the same one is connected to itself.
            return bool(connection.getsockname() != connection.getpeername())
    except ConnectionRefusedError:
        return False


def poison(served: Served, begin: int) -> Any:
    """Send events that meet every fate, up to 60 s after `begin`, which is a multiple of 10 s.

    Returns:
        What is known of the key a, once all of them have met their fate: it is watched from the first one on.
    """
    # The first question begins to watch the key.
    served.key("a")
    for second in range(60):
        for key in ("a", "b", SCRIPT):
            served.send(begin + second * 1_000, float(second), key=key)
    served.send(begin + 1_000, key="a")  # late for all its windows
    served.send(begin + 51_000, key="a")  # late for one of them
    served.send_raw(b"garbled", key="a")
    served.send_raw(b'{"ts": 1}', key="a")
    served.send(begin + 40_000, key="poison", partition=1)
    served.send(begin + 60_000, key="b", partition=1)
    served.flush()
    served.wait(lambda: settled(served))
    return served.key("a")


def settled(served: Served) -> bool:
    """Whether all that `poison` sends is counted, committed and seen."""
    # A key that nobody asks for is watched no longer.
    of_a = served.key("a")
    status, latencies = served.json("/api/status"), served.metrics()[f"{LATENCY}_count"]
    (source,), (model,) = status["sources"], status["models"]
    dead = sum(model["dead_letters"].values())
    of_events = model["unit"] == "event"
    return bool(
        (source["consumed"], sum(source["invalid"].values())) == (186, 2)
        and [partition["lag"] for partition in source["partitions"]] == [0, 0]
        and model["windows_closed"] == (184 if of_events else 35)
        and model["windows_produced"] + model["windows_silent"] + dead == model["windows_closed"]
        and latencies == model["windows_produced"]
        and len(status["dead_letters"]) == dead + 2
        and len(of_a["seen"]) == (64 if of_events else 13)
        and len(of_a["missed"]) == (0 if of_events else 2)
        and status["history"]
    )
