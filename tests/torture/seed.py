"""One seed: a group under load, faults against it, and then every check."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kafka.broker import Broker, free_ports
from kafka.checks import assert_counts, flat
from kafka.clients import Kafka
from kafka.job import Job
from kafka.judge import Source
from kafka.oracle import expect
from kafka.runner import WorkerError, Workers

from .fleet import Fleet, tail
from .network import Network, reuses
from .plan import Fault
from .shape import Shape
from .stream import PARTITIONS, Load, Writer
from .strike import TICK, Striker
from .tally import Takeover, Tally, check_outputs
from .watch import Watch

STOP = 120.0  # seconds in which a member must end after SIGTERM
LARGEST = "4194304"


@dataclass
class Outcome:
    """What a run did, and what came of it."""

    seed: int
    shape: str
    schedule: list[str]
    faults: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0  # faults that struck while work was unfinished
    left_out: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    events: int = 0
    members: int = 0
    samples: int = 0  # of committed offsets
    takeovers: int = 0
    network: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    findings: list[tuple[str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def failed(self) -> dict[str, str]:
        """The checks that failed, with the first difference."""
        return self.tally.failures

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "tally": vars(self.tally)}


@dataclass(frozen=True)
class Run:
    """What makes a run."""

    seed: int
    shape: Shape
    plan: list[Fault]
    directory: Path
    rate: float = 300.0  # events per second
    mutant: str = ""
    armed: tuple[str, ...] = ()  # what the first members do to themselves
    recount: bool = True
    delay: float = 0.002  # seconds that a call of a model takes
    catch_up: float = 240.0  # seconds in which the group must come to the end of the log

    def outcome(self) -> Outcome:
        """Run it."""
        began = time.monotonic()
        outcome = Outcome(self.seed, self.shape.told, [fault.told for fault in self.plan])
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        proxied, proxy = free_ports(2)
        trace = self.directory / "trace.jsonl"
        with (
            Broker(proxied=proxied, proxy=proxy, apart=True) as broker,
            Network(proxy, proxied, trace) as network,
            Kafka(broker.bootstrap) as kafka,
        ):
            job = self.job(kafka, network)
            marks = self.strike(broker, network, job, outcome)
            check(self, job, marks, network, outcome)
        outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    def job(self, kafka: Kafka, network: Network) -> Job:
        """The app, with its topics made."""
        app = f"torture-{self.seed}"
        source = Source(f"{app}.source")
        settings = {**self.shape.settings, "brokers": network.bootstrap}
        guarantee = self.shape.guarantee
        job = Job(
            kafka,
            Workers(self.directory),
            app,
            source,
            self.shape.models,
            guarantee,
            settings=settings,
            delay=self.delay,
        )
        kafka.create_topic(source.topic, PARTITIONS, max_message_bytes=LARGEST)
        for model in self.shape.models:
            kafka.create_topic(job.sink(model), PARTITIONS)
        return job

    def strike(self, broker: Broker, network: Network, job: Job, outcome: Outcome) -> list[Takeover]:
        """The part under load."""
        tally, topic = outcome.tally, job.source.topic
        fleet = Fleet(job, self.shape, self.directory, mutant=self.mutant)
        writer = Writer(broker.bootstrap, topic, Load(self.seed), self.rate)
        watch = Watch(broker.bootstrap, job.app, topic)
        striker = Striker(broker, job.kafka, network, fleet, watch, self.seed)
        try:
            with writer, watch:
                for slot in range(self.shape.workers):
                    fleet.start(slot, self.armed[slot] if slot < len(self.armed) else "")
                striker.run(self.plan)
                outcome.network = network.totals
                network.calm()
                striker.armed.clear()
                writer.finish()
                ends = job.kafka.ends(topic)
                deadline = time.monotonic() + self.catch_up
                while watch.offsets != ends and time.monotonic() < deadline:
                    striker.wait(TICK)
                if watch.offsets != ends:
                    tally.fail("liveness", f"committed {watch.offsets} of {ends} after {self.catch_up} s")
                else:
                    retire(fleet, striker)
        finally:
            fleet.end()
        outcome.faults, outcome.left_out, outcome.ends = striker.struck, striker.left_out, striker.ends
        outcome.events, outcome.members, outcome.samples = (
            sum(ends.values()),
            len(fleet.started),
            watch.samples,
        )
        outcome.takeovers = len(striker.takeovers)
        outcome.unfinished = sum(committed < outcome.events for _, committed in striker.moments)
        if self.plan and outcome.unfinished == 0:
            tally.fail("teeth", "no fault struck while work was unfinished")
        for backwards in watch.backwards:
            tally.fail("offsets forward", backwards)
        outcome.findings = striker.findings
        for name, finding in striker.findings:
            tally.fail(name, finding)
        return striker.takeovers


def retire(fleet: Fleet, striker: Striker) -> None:
    """Every member ends cleanly when it is told to."""
    living = [member for member in fleet.slots.values() if member.worker.running]
    for member in living:
        member.ending = True
        member.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP
    while any(member.worker.running for member in living) and time.monotonic() < deadline:
        time.sleep(TICK)
    for member in living:
        if member.worker.running:
            striker.find("ends", f"{member.name} did not end after SIGTERM\n{tail(member.worker.log)}")
    striker.reap()


def check(run: Run, job: Job, marks: list[Takeover], network: Network, outcome: Outcome) -> None:
    """Everything that can be told afterwards; the topics are read once each."""
    tally = outcome.tally
    metrics: dict[str, Any] = {}
    if run.recount:
        # One lane: records that a rebalance lets it take once more count once more.
        settings = {**job.settings, "lanes": 1}
        again = replace(job, app=f"{job.app}-again", delay=0.0, guarantee="at_least_once", settings=settings)
        try:
            metrics = again.run()
        except WorkerError as error:
            tally.fail("counting", str(error))
    log = job.kafka.read(job.source.topic)
    verdict = expect(log, job.source, job.models)
    check_outputs(tally, job, verdict, flat(log), marks)
    if metrics:
        tally.run("counting", lambda: assert_counts(job, metrics, verdict))
    for reuse in reuses(network.lines()):
        tally.fail("trace", reuse)
