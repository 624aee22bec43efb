"""Visitors of a status page: one who looks at it, and one who attacks it.

`python benches/visitors.py look|attack JSON` visits until its standard input closes, then prints what it has
met and what it has used as one line of JSON. An attack opens so many connections a second, so that its own
cost is bounded: on few cores that is taken from the run, too.
"""

from __future__ import annotations

import http.client
import json
import resource
import selectors
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

PATIENCE = 5.0  # seconds for an answer
KEY = "s0"
OTHERS = 50  # file descriptors for other things than connections
DRIBBLE = 0.5  # seconds between two bytes of a slow request
KEPT = 64  # slow requests that are gone on with: as many as a server keeps
HOST = b"Host: localhost\r\n"
# Nothing at all; a head that never ends; another site's name; another site's form; a head that is too large.
SLOW = b"GET / HTTP/1.1\r\n" + HOST + b"X-Slow: "
SENT = (
    b"",
    SLOW,
    b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"POST /api/status HTTP/1.1\r\n" + HOST + b"Origin: http://evil.example\r\nContent-Length: 2\r\n\r\n{}",
    b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"a" * 20_000 + b"\r\n\r\n",
)


class Looker:
    """What an open page and a Prometheus ask for: news, with each of them a key, and the metrics at 1 Hz."""

    def __init__(self, address: str) -> None:
        """Nothing is asked before `run`."""
        self._address = address
        self._done = threading.Event()
        self._counts: Counter[str] = Counter()

    def run(self) -> dict[str, Any]:
        """Look until standard input closes."""
        threads = [threading.Thread(target=part) for part in (self._page, self._scrape)]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self._done.set()
        for thread in threads:
            thread.join()
        return dict(self._counts)

    def _page(self) -> None:
        while not self._done.is_set():
            stream = http.client.HTTPConnection(self._address, timeout=PATIENCE)
            try:
                stream.request("GET", "/api/stream")
                news = stream.getresponse()
                for line in iter(news.readline, b""):
                    if self._done.is_set():
                        break
                    if line.startswith(b"data: "):
                        self._counts["news"] += 1
                        self._ask("questions", f"/api/keys/{KEY}")
            except (OSError, http.client.HTTPException):
                self._done.wait(0.1)
            finally:
                stream.close()

    def _scrape(self) -> None:
        while not self._done.wait(1.0):
            self._ask("scrapes", "/metrics")

    def _ask(self, what: str, path: str) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            self._counts[what if answer.status == http.client.OK else f"{what} refused"] += 1
        except (OSError, http.client.HTTPException):
            self._counts[f"{what} failed"] += 1
        finally:
            connection.close()


class Attacker:
    """Opens `count` connections, `rate` of them a second, and keeps them open as far as files allow."""

    def __init__(self, address: str, count: int, rate: float) -> None:
        """Nothing is opened before `run`."""
        host, port = address.split(":")
        self._to = (host, int(port))
        self._count, self._rate = count, rate
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._most = hard - OTHERS
        self._open: deque[socket.socket] = deque()
        self._slow: deque[socket.socket] = deque(maxlen=KEPT)
        self._counts: Counter[str] = Counter()
        self._peak = 0

    def run(self) -> dict[str, Any]:
        """Attack until standard input closes."""
        with selectors.DefaultSelector() as stdin:
            stdin.register(sys.stdin, selectors.EVENT_READ)
            while not self._is_served() and not stdin.select(timeout=0.05):
                pass
            dribbled = began = time.monotonic()
            for number in self._numbers():
                due = began + number / self._rate if number < self._count else dribbled + DRIBBLE
                if stdin.select(timeout=max(0.0, min(due, dribbled + DRIBBLE) - time.monotonic())):
                    break
                if number < self._count and time.monotonic() >= due:
                    self._connect(number)
                if time.monotonic() - dribbled >= DRIBBLE:
                    dribbled = time.monotonic()
                    self._dribble()
        for one in self._open:
            self._leave(one)
        return {**self._counts, "open at a time": self._peak}

    def _is_served(self) -> bool:
        try:
            socket.create_connection(self._to, timeout=PATIENCE).close()
        except OSError:
            return False
        return True

    def _numbers(self) -> Iterator[int]:
        while True:
            yield self._counts["connections"] + self._counts["not accepted"]

    def _connect(self, number: int) -> None:
        try:
            one = socket.create_connection(self._to, timeout=PATIENCE)
        except OSError:
            self._counts["not accepted"] += 1
            return
        self._counts["connections"] += 1
        one.setblocking(False)
        sent = SENT[number % len(SENT)]
        with suppress(OSError):
            one.send(sent)
        if sent is SLOW:
            self._slow.append(one)
        self._open.append(one)
        self._peak = max(self._peak, len(self._open))
        if len(self._open) >= self._most:
            self._leave(self._open.popleft())

    def _dribble(self) -> None:
        for one in self._slow:
            with suppress(OSError):
                one.send(b"a")

    def _leave(self, one: socket.socket) -> None:
        """Close a connection, and count what the server has made of it."""
        try:
            said = one.recv(64)
            self._counts[f"answered {said.split()[1].decode()}" if said else "closed"] += 1
        except BlockingIOError:
            self._counts["still open"] += 1
        except OSError:
            self._counts["closed"] += 1
        one.close()


def main() -> None:
    """The command line."""
    kind, told = sys.argv[1], json.loads(sys.argv[2])
    visitor = Looker(**told) if kind == "look" else Attacker(**told)
    met = visitor.run()
    use = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**met, "cpu_s": use.ru_utime + use.ru_stime}))


if __name__ == "__main__":
    main()
