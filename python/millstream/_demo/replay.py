"""Watches whose wearers do one thing after another, and the thread that sends their readings."""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from millstream import _core
from millstream._demo.data import CHANNELS, RATE_HZ, READINGS, Recordings

STEP_MS = 1000 // RATE_HZ
SPEED = 20
"""Seconds of the watches' time in a second of ours."""
IN_A_ROW = 3
"""Recordings of one activity that a wearer does before the next."""
SESSION = IN_A_ROW * READINGS

# What real devices do to a stream, at a rate that a viewer can check against the summary.
STRAGGLER_EVERY = 997
STRAGGLER_STEPS = 3 * RATE_HZ
GARBLED_EVERY = 4999


@dataclass(frozen=True)
class Truth:
    """What a watch's wearer really did in a window; complete if one activity filled all of it."""

    activity: str
    complete: bool


class Watches:
    """Which reading every watch takes at every step of 0.1 s, and what its wearer does then.

    A wearer goes through the activities in turn, IN_A_ROW recordings each; every watch begins elsewhere.
    """

    def __init__(self, recordings: Recordings, count: int, begin_ms: int) -> None:
        self.names = [f"watch-{number:02d}" for number in range(count)]
        self.begin_ms = begin_ms
        self._recordings = recordings
        self._activities = sorted(recordings)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def reading(self, number: int, step: int) -> NDArray[np.float64]:
        """Return the channels' values that a watch reads at a step."""
        session, position = self._position(number, step)
        stack = self._recordings[self._activity(number, session)]
        recording = (number + session * IN_A_ROW + position // READINGS) % len(stack)
        values: NDArray[np.float64] = stack[recording, position % READINGS]
        return values

    def truth(self, name: str, start_ms: int, end_ms: int) -> Truth:
        """Return what a wearer did in the window [start, end)."""
        number = self._numbers[name]
        first, last = (-(-(bound - self.begin_ms) // STEP_MS) for bound in (start_ms, end_ms))
        sessions = (self._position(number, step)[0] for step in (max(first, 0), last - 1))
        did = dict.fromkeys(self._activity(number, session) for session in sessions)
        return Truth(" > ".join(did), complete=first >= 0 and len(did) == 1)

    def _position(self, number: int, step: int) -> tuple[int, int]:
        return divmod(step + number * 7 * RATE_HZ, SESSION)

    def _activity(self, number: int, session: int) -> str:
        return self._activities[(number + session) % len(self._activities)]


class Replay:
    """Sends the readings of all watches to a topic from a thread of its own, which it joins at the end."""

    def __init__(self, watches: Watches, *, brokers: str, topic: str, seconds: float) -> None:
        self.sent = 0
        self._watches = watches
        self._brokers = brokers
        self._topic = topic
        self._seconds = seconds
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="millstream-demo-replay")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def done(self) -> bool:
        """Return whether everything is sent; raises what ended the thread early."""
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            producer = _core.Producer(self._brokers)
            try:
                self._send_all(producer)
                producer.flush()
            finally:
                producer.close()
        except Exception as error:
            self._error = error

    def _send_all(self, producer: _core.Producer) -> None:
        stragglers: deque[tuple[int, str, bytes]] = deque()
        began, taken = time.monotonic(), 0
        for step in range(round(self._seconds * SPEED * RATE_HZ)):
            elapsed = time.monotonic() - began
            # A machine that cannot keep the pace sends less, not longer.
            if elapsed > self._seconds or self._stop.wait(max(0.0, step / (SPEED * RATE_HZ) - elapsed)):
                break
            while stragglers and stragglers[0][0] <= step:
                _, name, value = stragglers.popleft()
                self._send(producer, name, value)
            for number, name in enumerate(self._watches.names):
                taken += 1
                value = self._encode(number, name, step)
                if taken % STRAGGLER_EVERY == 0:
                    stragglers.append((step + STRAGGLER_STEPS, name, value))
                else:
                    self._send(producer, name, value[:-9] if taken % GARBLED_EVERY == 0 else value)
        for _, name, value in stragglers:
            self._send(producer, name, value)

    def _encode(self, number: int, name: str, step: int) -> bytes:
        values = self._watches.reading(number, step).tolist()
        when = {"watch": name, "ts": self._watches.begin_ms + step * STEP_MS}
        return json.dumps(when | dict(zip(CHANNELS, values, strict=True)), separators=(",", ":")).encode()

    def _send(self, producer: _core.Producer, name: str, value: bytes) -> None:
        producer.send(self._topic, value, key=name.encode())
        self.sent += 1
