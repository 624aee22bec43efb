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
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import IO

HERE = Path(__file__).resolve().parent
JARS = HERE.parents[1] / "build" / "kafka-jars"
CLUSTER_ID = "bWlsbHN0cmVhbS10ZXN0cw"  # a base64 UUID, as the format tool wants it
JVM = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
START_SECONDS = 120.0
STOP_SECONDS = 15.0
NEEDED = {
    "java": "Java 17 or newer is missing: apt-get install openjdk-17-jre-headless",
    "mvn": "Maven is missing: apt-get install maven",
}
# Few internal partitions, no rebalance delay: it starts quickly. Short sweeps: what times out is seen to.
COMMON = """\
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
broker.session.timeout.ms={session}
broker.heartbeat.interval.ms=500
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
"""
PLAIN = "PLAINTEXT://127.0.0.1:{broker},PROXIED://127.0.0.1:{proxied}"
TOLD = "PLAINTEXT://127.0.0.1:{broker},PROXIED://127.0.0.1:{proxy}"
CONTROLLER = "CONTROLLER://127.0.0.1:{controller}"
ROLES = {
    "server": f"""\
node.id=1
process.roles=broker,controller
listeners={PLAIN},{CONTROLLER}
advertised.listeners={TOLD},{CONTROLLER}
""",
    "broker": f"""\
node.id=1
process.roles=broker
listeners={PLAIN}
advertised.listeners={TOLD}
""",
    "controller": f"""\
node.id=2
process.roles=controller
listeners={CONTROLLER}
""",
}
# How long the controller waits for a broker that is silent. Where both are one process, nobody may call the
# broker away: a coordinator that finds a partition without a leader leaves out its transaction markers, and
# what was read committed ends there. A controller of its own survives the broker, whose next life begins
# when it is known to be gone: not where it was stopped for a few seconds on a busy machine.
TOGETHER, APART = 3_600_000, 9_000


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
    """Ports of the loopback interface that are the caller's to listen on for the next minute."""
    return [reserved_port() for _ in range(count)]


def reserved_port() -> int:
    """A port that the system gives to nobody who asks for any.

    An ended connection is left on it, which keeps it from everybody but a server that names it.
    """
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.listen(1)
        with socket.create_connection(server.getsockname()) as client:
            server.accept()[0].close()
            client.recv(1)
        return int(server.getsockname()[1])


def java() -> list[str]:
    """The start of a command that runs a class of Kafka's."""
    return ["java", *JVM, "-cp", f"{fetch_jars()}/*"]


def prepare(directory: Path, proxied: int, proxy: int, more: Sequence[str], *, apart: bool) -> int:
    """Write the settings, with `more` of them, and format the storage; returns the port."""
    port, controller, *others = free_ports(4)
    ports = {"broker": port, "proxied": proxied or others[0], "proxy": proxy or others[1]}
    for role in ("controller", "broker") if apart else ("server",):
        settings = directory / f"{role}.properties"
        text = COMMON + ROLES[role] + f"log.dirs={directory}/{role}\n"
        session = APART if apart else TOGETHER
        lines = [text.format(controller=controller, session=session, **ports), *more]
        settings.write_text("\n".join(lines))
        tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
        if role != "broker":
            tool.append("--standalone")
        done = subprocess.run([*java(), *tool], capture_output=True, text=True)
        if done.returncode != 0:
            raise BrokerError(f"Kafka's storage was not formatted: {first_line(done.stderr + done.stdout)}")
    return port


def boot(directory: Path, role: str) -> subprocess.Popen[bytes]:
    """Start a JVM."""
    command = [*java(), "kafka.Kafka", str(directory / f"{role}.properties")]
    with (directory / f"{role}.log").open("ab") as log:
        # A session of its own: Ctrl-C in a terminal reaches it through its owner only.
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def launch(directory: Path, role: str, port: int) -> subprocess.Popen[bytes]:
    """Start the broker's JVM on a prepared directory; returns once it accepts connections."""
    jvm = boot(directory, role)
    try:
        if not ready(jvm, port):
            raise BrokerError(f"Kafka did not start: {first_line((directory / f'{role}.log').read_text())}")
    except BaseException:
        end(jvm)
        raise
    return jvm


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
    """Kill it: an end in order takes long, for data that nobody will read."""
    process.kill()
    process.wait()


class Broker:
    """A running broker; `bootstrap` is its address. It ends with the `with` block, or with this process."""

    def __init__(
        self,
        *settings: str,
        seconds: float = 3600.0,
        proxied: int = 0,
        proxy: int = 0,
        apart: bool = False,
    ) -> None:
        """Nothing runs before the `with` block.

        `settings` are more of them as `name=value`. `seconds` is the longest that it lives. Who connects to
        the port `proxied` is told that the broker is at the port `proxy`: a proxy there sees all of a
        client's traffic. With `apart` the controller is a process of its own, so that the broker can be
        killed and started again.
        """
        self.seconds = seconds
        self._more = ["--proxied", f"{proxied}:{proxy}", *(["--apart"] if apart else [])]
        self._more += [f"--set={setting}" for setting in settings]
        self._killed_at = 0.0
        self.bootstrap = ""
        self.pid = 0
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Broker:
        """Start the guard and wait for the address that it prints."""
        fetch_jars()
        command = [sys.executable, str(Path(__file__).resolve()), "--seconds", str(self.seconds)]
        command += self._more
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

    def kill(self) -> None:
        """End the broker's JVM without notice; its data stay."""
        self._killed_at = time.monotonic()
        self._tell("kill")

    def restart(self) -> None:
        """Start a JVM on the same data and port after `kill`; returns once it accepts connections.

        The controller must have noticed that the last one is gone, or it would refuse the next one.
        """
        time.sleep(max(0.0, self._killed_at + APART / 1000 + 0.5 - time.monotonic()))
        self.pid = self._tell("start")

    def _tell(self, command: str) -> int:
        assert self._guard
        assert self._guard.stdin
        assert self._guard.stdout
        self._guard.stdin.write(f"{command}\n")
        self._guard.stdin.flush()
        return int(self._guard.stdout.readline())

    def __exit__(self, *_: object) -> None:
        """Close the guard's input and wait until broker and directory are gone."""
        assert self._guard
        try:
            self._guard.communicate(timeout=2 * STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.terminate()
            self._guard.communicate()


def serve(
    seconds: float, stdin: IO[str], proxied: int, proxy: int, more: Sequence[str], *, apart: bool
) -> None:
    """Run a broker until `stdin` closes or the time is up; the lines `kill` and `start` end and start it."""
    with tempfile.TemporaryDirectory(prefix="millstream-kafka-") as name, ExitStack() as jvms:
        directory = Path(name)
        role = "broker" if apart else "server"
        port = prepare(directory, proxied, proxy, more, apart=apart)
        if apart:
            jvms.callback(end, boot(directory, "controller"))
        jvm = launch(directory, role, port)
        jvms.callback(lambda: end(jvm))
        print(f"127.0.0.1:{port}", jvm.pid, sep="\n", flush=True)
        deadline = time.monotonic() + seconds
        killed = False
        while (killed or jvm.poll() is None) and (left := deadline - time.monotonic()) > 0:
            if not select.select([stdin], [], [], min(left, 1.0))[0]:
                continue
            command = os.read(stdin.fileno(), 4096).strip()
            if not command:
                break
            killed = command == b"kill"
            if killed:
                jvm.kill()
                jvm.wait()
            else:
                jvm = launch(directory, role, port)
            print(jvm.pid, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run Apache Kafka on loopback until standard input closes.")
    parser.add_argument("--seconds", type=float, default=3600.0, help="time limit (default: one hour)")
    parser.add_argument("--proxied", default="0:0", help="PORT:PROXY: a listener behind a proxy")
    parser.add_argument("--apart", action="store_true", help="the controller is a process of its own")
    parser.add_argument("--fetch", action="store_true", help="get what it needs, and run nothing")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one more setting")
    arguments = parser.parse_args()
    proxied, proxy = map(int, arguments.proxied.split(":"))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        if arguments.fetch:
            fetch_jars()
            return 0
        serve(arguments.seconds, sys.stdin, proxied, proxy, arguments.set, apart=arguments.apart)
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
