"""10,000 connections to the page: the run goes on and stays small, and who asks in earnest is answered."""

import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from served import TIMEOUT_S, request

CONNECTIONS = 10_000
WAVE = 500  # fewer than wait to be accepted: none has to try again
PLACES = 64  # connections that the server keeps
OTHERS = 200  # file descriptors that the test needs for other things
PROGRAM = """
import itertools, sys, threading, time
from served import Served

with Served("flooded") as served:
    begin = int(time.time()) // 10 * 10_000 - 600_000
    print(served.url, flush=True)
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set())).start()
    for second in itertools.count():
        served.send(begin + second * 1_000)
        if done.wait(0.02):
            break
"""
# What an attacker sends: nothing, half a head, and what is refused.
SENT = (
    b"",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"GET /api/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"a" * 20_000 + b"\r\n\r\n",
)
REFUSALS = {b"403", b"405", b"431"}


class Flooded:
    """A run in a process of its own that goes on until it is closed, and its page."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.url = url
        self._proc = Path(f"/proc/{process.pid}")

    def files(self) -> int:
        """File descriptors that are open."""
        return len(os.listdir(self._proc / "fd"))

    def resident_mib(self) -> float:
        """Memory."""
        return int((self._proc / "statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    def healthy(self) -> bool:
        """Whether a client like any other is answered."""
        return request(self.url, "GET", "/healthz", {})[::2] == (200, b"ok\n")

    def produced(self) -> int:
        """Windows whose results are committed."""
        text = request(self.url, "GET", "/metrics", {})[2].decode()
        (line,) = (line for line in text.splitlines() if line.startswith("millstream_windows_produced_total"))
        return int(line.rsplit(" ", 1)[1])


def until(happened: Callable[[], bool]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + TIMEOUT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def many_files() -> Iterator[int]:
    """Raise the limit of open files as far as it goes; returns how many connections that allows at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard - OTHERS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def flooded() -> Iterator[Flooded]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, text=True, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield Flooded(process, process.stdout.readline().strip())
            process.stdin.close()
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()


def fates(crowd: list[socket.socket]) -> tuple[int, set[bytes]]:
    """How many connections are open still, and with what status the others were answered, if at all."""
    answers = set()
    with selectors.DefaultSelector() as selector:
        for one in crowd:
            selector.register(one, selectors.EVENT_READ, one)
        readable: list[socket.socket] = [key.data for key, _ in selector.select(timeout=0)]
    still_open = len(crowd) - len(readable)
    for one in readable:
        try:
            said = one.recv(1_000)
        except ConnectionResetError:
            continue
        if said:
            answers.add(said.split()[1])
    return still_open, answers


@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts files and memory in /proc")
def test_ten_thousand_connections_are_bounded_and_the_run_goes_on(flooded: Flooded) -> None:
    address = urlsplit(flooded.url)
    until(lambda: flooded.produced() > 0)
    files, memory, produced = flooded.files(), flooded.resident_mib(), flooded.produced()
    answers: set[bytes] = set()
    with many_files() as at_once:
        if at_once < WAVE:
            pytest.skip(f"RLIMIT_NOFILE leaves {at_once} connections at a time, {WAVE} are needed")
        crowd: list[socket.socket] = []
        try:
            for wave in range(0, CONNECTIONS, WAVE):
                if len(crowd) + WAVE > at_once:
                    answers |= fates(crowd)[1]
                    for one in crowd:
                        one.close()
                    crowd.clear()
                for number in range(wave, wave + WAVE):
                    one = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_S)
                    crowd.append(one)
                    one.setblocking(False)
                    with suppress(ConnectionError):
                        one.send(SENT[number % len(SENT)])
                assert flooded.healthy()
                assert flooded.files() <= files + PLACES + 10
            still_open, last_answers = fates(crowd)
        finally:
            for one in crowd:
                one.close()
    assert still_open <= PLACES
    assert answers | last_answers <= REFUSALS
    assert flooded.resident_mib() < memory + 50
    assert flooded.healthy()
    until(lambda: flooded.produced() > produced)
    until(lambda: flooded.files() <= files + 5)
