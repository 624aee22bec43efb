"""Apache Kafka on loopback, for tests and benchmarks: one JVM and one temporary directory.

`Broker` is a context manager. The JVM belongs to a guard process (this file, run as a script) that ends it
when its standard input closes: the broker goes away with its user, even when that is killed. By hand:
`python tests/kafka/broker.py` prints the bootstrap address and serves until Ctrl-D or Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

HERE = Path(__file__).resolve().parent
JARS = HERE.parents[1] / "build" / "kafka-jars"
CLUSTER_ID = "bWlsbHN0cmVhbS10ZXN0cw"  # a base64 UUID, as the format tool wants it
JVM = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
START_SECONDS = 60.0
STOP_SECONDS = 15.0
NEEDED = {
    "java": "Java 17 or newer is missing: apt-get install openjdk-17-jre-headless",
    "mvn": "Maven is missing: apt-get install maven",
}
# Few internal partitions, no rebalance delay: it starts quickly. Short sweeps: what times out is seen to.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.ms=-1
log.retention.check.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
num.io.threads=2
{more}
"""


class BrokerError(RuntimeError):
    """The broker cannot be had; the message is one line that says why."""


def require(tool: str) -> None:
    """Say in one line what is missing and how to get it."""
    if shutil.which(tool) is None:
        raise BrokerError(NEEDED[tool])


def fetch_jars() -> Path:
    """Copy the jars of pom.xml to build/kafka-jars, once; a part of them is never left there."""
    require("java")
    if not JARS.is_dir():
        require("mvn")
        JARS.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=JARS.parent, prefix="kafka-jars.") as part:
            target = Path(part) / "jars"
            mvn = ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
            done = subprocess.run([*mvn, f"-DoutputDirectory={target}"], capture_output=True, text=True)
            if done.returncode != 0:
                raise BrokerError(f"Maven fetched no broker: {first_line(done.stdout + done.stderr)}")
            try:
                target.rename(JARS)
            except OSError:
                if not JARS.is_dir():  # else another process was first
                    raise
    return JARS


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def launch(directory: Path, more: Sequence[str] = ()) -> tuple[subprocess.Popen[bytes], str]:
    """Format the storage and start the JVM; returns once it accepts connections."""
    port, controller = free_ports(2)
    settings = directory / "server.properties"
    lines = "\n".join(more)
    settings.write_text(SETTINGS.format(broker=port, controller=controller, directory=directory, more=lines))
    java = ["java", *JVM, "-cp", f"{fetch_jars()}/*"]
    tool = f"kafka.tools.StorageTool format --standalone -t {CLUSTER_ID} -c".split()
    done = subprocess.run([*java, *tool, str(settings)], capture_output=True, text=True)
    if done.returncode != 0:
        raise BrokerError(f"Kafka's storage was not formatted: {first_line(done.stderr + done.stdout)}")
    command = [*java, "kafka.Kafka", str(settings)]
    with (directory / "broker.log").open("wb") as log:
        # A session of its own: Ctrl-C in a terminal reaches it through its owner only.
        jvm = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        if not ready(jvm, port):
            raise BrokerError(f"Kafka did not start: {first_line((directory / 'broker.log').read_text())}")
    except BaseException:
        end(jvm)
        raise
    return jvm, f"127.0.0.1:{port}"


def ready(jvm: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the port accepts connections; Kafka opens it when it can serve."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and jvm.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate, then kill."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Broker:
    """A running broker; `bootstrap` is its address. It ends with the `with` block, or with this process."""

    def __init__(self, *settings: str, seconds: float = 3600.0) -> None:
        """More settings as `name=value`; `seconds` is the longest that it lives; `with` starts it."""
        self.settings = settings
        self.seconds = seconds
        self.bootstrap = ""
        self.pid = 0
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Broker:
        """Start the guard and wait for the address that it prints."""
        fetch_jars()
        command = [sys.executable, str(Path(__file__).resolve()), "--seconds", str(self.seconds)]
        command += [f"--set={setting}" for setting in self.settings]
        pipe = subprocess.PIPE
        self._guard = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        assert self._guard.stdout
        assert self._guard.stderr
        self.bootstrap = self._guard.stdout.readline().strip()
        if not self.bootstrap:
            raise BrokerError(first_line(self._guard.stderr.read()))
        self.pid = int(self._guard.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        """Close the guard's input and wait until broker and directory are gone."""
        assert self._guard
        try:
            self._guard.communicate(timeout=2 * STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.terminate()
            self._guard.communicate()


def serve(seconds: float, stdin: IO[str], more: Sequence[str] = ()) -> None:
    """Run a broker, with more settings, until `stdin` closes or the time is up."""
    with tempfile.TemporaryDirectory(prefix="millstream-kafka-") as directory:
        jvm, bootstrap = launch(Path(directory), more)
        try:
            print(bootstrap, jvm.pid, sep="\n", flush=True)
            deadline = time.monotonic() + seconds
            while jvm.poll() is None and (left := deadline - time.monotonic()) > 0:
                if select.select([stdin], [], [], min(left, 1.0))[0] and not os.read(stdin.fileno(), 4096):
                    break
        finally:
            end(jvm)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run Apache Kafka on loopback until standard input closes.")
    parser.add_argument("--seconds", type=float, default=3600.0, help="time limit (default: one hour)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one more setting")
    arguments = parser.parse_args()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        serve(arguments.seconds, sys.stdin, arguments.set)
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
