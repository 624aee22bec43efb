"""One run of the demo: broker, replay, app and screen, from the first reading to the last result read."""

import time
from collections import deque
from contextlib import closing

from millstream import App, HoppingWindow, Topic, _core
from millstream._demo import data
from millstream._demo.model import Activity
from millstream._demo.replay import SPEED, STRAGGLER_STEPS, Replay, Watches
from millstream._demo.score import Score
from millstream._demo.screen import Progress, Screen
from millstream._web import Web

READINGS = "watch.readings"
PREDICTIONS = "watch.activity"
PARTITIONS = 4

RATE_OVER_S = 2.0
CATCH_UP_S = 60.0
"""How long the app may work on after the last reading is sent."""
READ_REST_S = 30.0


def make_app() -> App:
    """Return the app: all that a user would write, but for the model."""
    app = App("millstream-demo", brokers="embedded")
    readings = Topic(READINGS, key="watch", timestamp="ts", timestamp_unit="ms", fields=data.CHANNELS)
    app.model(source=readings, window=HoppingWindow("10s", hop="1s", grace="1s"), sink=PREDICTIONS)(Activity)
    return app


class Session:
    """Runs the app on the main thread, while the replay sends from its own and `tick` feeds the screen."""

    def __init__(self, screen: Screen, *, seconds: float, watches: int, web: Web | None = None) -> None:
        broker = _core.EmbeddedBroker.get()
        for topic in (READINGS, PREDICTIONS):
            broker.create_topic(topic, PARTITIONS)
        # Ends at the present, so no reading lies in the future however much faster than real time it runs.
        begin_ms = int(time.time() - seconds * SPEED) * 1000
        wearers = Watches(data.load("test"), watches, begin_ms)
        self._app = make_app()
        self._app._web = web
        self._url_said = web is None
        self._screen = screen
        self._score = Score(wearers)
        self._replay = Replay(wearers, brokers=broker.brokers, topic=READINGS, seconds=seconds)
        self._results = _core.Consumer(broker.brokers, PREDICTIONS)
        self._history: deque[tuple[float, int]] = deque()
        self._began = time.monotonic()
        self._show_at = self._began
        self._catch_up_until: float | None = None

    def run(self) -> None:
        """Run until all is read, or until a signal; then read what is left in the output topic."""
        with closing(self._results), closing(self._screen):
            with self._replay:
                self._app._run(None, drain=False, tick=self._tick)
            self._read_rest()
            self._screen.show(self._progress())

    def summary(self) -> dict[str, str]:
        """Return the counts of the whole run, named."""
        metrics = self._app.metrics()
        model = metrics["models"][Activity.__name__]
        reasons = metrics["sources"][READINGS]["dead_letters"] if READINGS in metrics["sources"] else {}
        dead = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        behind = STRAGGLER_STEPS / data.RATE_HZ
        return {
            "readings": f"{self._replay.sent:,} sent, {metrics['consumed']:,} consumed",
            "consumed": f"{model['events']:,} in windows + {model['late_events']:,} too late"
            f" + {model['before_start']:,} before the start + {sum(reasons.values()):,} dead letters",
            "windows": f"{model['windows_produced']:,} written,"
            f" {self._score.windows:,} read back from {PREDICTIONS}",
            "accuracy": self._score.accuracy,
            "late": f"{model['late_pairs']:,} times a reading missed a window (sent {behind:g} s behind)",
            "dead letters": f"{dead or 'none'}, in millstream-demo.dead-letter",
        }

    def _tick(self) -> None:
        if not self._url_said:
            # Known only now: its port may have been taken.
            self._url_said = True
            url = self._app.web_url
            self._screen.say(f"  status   {url or 'no page: its port and the next ones are taken'}\n")
        self._read(0.0)
        now = time.monotonic()
        if now >= self._show_at:
            self._show_at = now + self._screen.interval
            self._screen.show(self._progress())
        if self._replay.done() and (self._all_produced() or self._out_of_time(now)):
            self._stop()

    def _stop(self) -> None:
        if engine := self._app._engine:
            engine.stop()

    def _all_produced(self) -> bool:
        metrics = self._app.metrics()
        model = metrics["models"][Activity.__name__]
        return bool(
            metrics["consumed"] == self._replay.sent and model["windows_produced"] == model["windows_closed"]
        )

    def _out_of_time(self, now: float) -> bool:
        if self._catch_up_until is None:
            self._catch_up_until = now + CATCH_UP_S
        return now > self._catch_up_until

    def _read(self, timeout: float) -> None:
        for _, _, _, value, _, _ in self._results.poll(timeout):
            if value is not None:
                self._score.add(value)

    def _read_rest(self) -> None:
        produced = self._app.metrics()["models"][Activity.__name__]["windows_produced"]
        give_up = time.monotonic() + READ_REST_S
        while self._score.windows < produced and time.monotonic() < give_up:
            self._read(0.1)

    def _progress(self) -> Progress:
        metrics = self._app.metrics()
        lags = (
            partition["lag"] or 0
            for source in metrics["sources"].values()
            for partition in source["partitions"].values()
        )
        return Progress(
            elapsed=time.monotonic() - self._began,
            sent=self._replay.sent,
            consumed=metrics["consumed"],
            lag=sum(lags),
            rate=self._rate(),
            score=self._score,
        )

    def _rate(self) -> float:
        now = time.monotonic()
        self._history.append((now, self._score.windows))
        while now - self._history[0][0] > RATE_OVER_S and len(self._history) > 2:
            self._history.popleft()
        then, windows = self._history[0]
        return (self._score.windows - windows) / (now - then) if now > then else 0.0
