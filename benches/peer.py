"""The peers: how each is installed, into a directory of its own, and how it is run."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watch import Watched, watch

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "peers"
BUILT = HERE.parent / "build" / "peers"
INSTALL_SECONDS = 300.0
# The topic is compressed with LZ4.
FAUST = ("faust-streaming==0.15.3", "aiokafka[lz4]==0.14.0", "orjson==3.13.0")
# Flink reaches into the collections of the JDK.
OPENS = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("lang", "time", "util")]
# None of the peers' own mathematics is to start a thread for each core.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class UnavailableError(Exception):
    """A peer cannot be installed; the message is one line."""


@dataclass(frozen=True)
class Peer:
    """A job on another engine: a Python file with its packages, or a Maven project with its arguments."""

    name: str
    title: str
    program: str  # below benches/peers
    packages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # of the JVM

    @property
    def python(self) -> bool:
        """Whether it is a Python program."""
        return bool(self.packages)

    @property
    def home(self) -> Path:
        """Where it is installed."""
        return BUILT / Path(self.program).stem

    def install(self) -> None:
        """Make its environment, unless it is there as it should be."""
        path = PROGRAMS / self.program
        sources = [] if self.python else sorted(file for file in path.rglob("*") if file.is_file())
        parts = [*self.packages, *(source.read_text() for source in sources)]
        want = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        stamp = self.home / "installed"
        if stamp.is_file() and stamp.read_text() == want:
            return
        print(f"  installing {self.title}", file=sys.stderr)
        self.home.mkdir(parents=True, exist_ok=True)
        for command in self._venv() if self.python else self._maven(path):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise UnavailableError(f"{self.title} is left out: {error}") from None
            if done.returncode != 0:
                lines = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
                raise UnavailableError(f"{self.title} is left out: {lines[0]}")
        stamp.write_text(want)

    def _venv(self) -> Iterable[list[str]]:
        yield [sys.executable, "-m", "venv", "--clear", str(self.home)]
        pip = [str(self.home / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        yield [*pip, "--quiet", *self.packages]

    def _maven(self, path: Path) -> Iterable[list[str]]:
        maven = ["mvn", "-B", "-q", "-f", str(path / "pom.xml"), "package", "dependency:copy-dependencies"]
        yield [*maven, "-DincludeScope=runtime", f"-DoutputDirectory={self.home / 'lib'}"]

    def run(self, spec: dict[str, Any], seconds: float) -> Watched:
        """Run it on a specification, with a directory for its state."""
        BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-") as directory:
            what = json.dumps({**spec, "directory": directory})
            if self.python:
                command = [str(self.home / "bin" / "python"), str(PROGRAMS / self.program)]
            else:
                jars = f"{self.home / 'lib'}/*:{self.home / 'target' / 'classes'}"
                log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
                command = ["java", "-Xmx3g", *self.options, log, "-cp", jars, "hoplist.Job"]
            log_file = BUILT / f"{self.name}.log"
            return watch([*command, *self.arguments, what], seconds, log_file, ENVIRONMENT)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("flink", "Flink 2.2", "flink", options=tuple(OPENS)),
        Peer("ks-panes", "Kafka Streams 4.3, panes", "kafka-streams", arguments=("panes",)),
        Peer("ks-suppress", "Kafka Streams 4.3, suppress", "kafka-streams", arguments=("suppress",)),
        Peer("bytewax", "Bytewax 0.21", "bytewax_job.py", ("bytewax[kafka]==0.21.1", "orjson==3.13.0")),
        Peer("quix", "Quix Streams 3.28", "quix_job.py", ("quixstreams==3.28.1",)),
        Peer("faust", "Faust-streaming 0.15", "faust_job.py", FAUST),
    )
}
PYTHON_PEERS = tuple(name for name, peer in PEERS.items() if peer.python)


def chosen(names: str) -> list[Peer]:
    """The peers of a list of names; `all` and `none` are lists, too."""
    wanted = {"all": list(PEERS), "none": []}.get(names, [name for name in names.split(",") if name])
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        sys.exit(
            f"PEERS={names}: no peer is called {unknown[0]!r}; there are {', '.join(PEERS)}, all and none"
        )
    return [PEERS[name] for name in wanted]


def installed(peers: Iterable[Peer]) -> list[Peer]:
    """Those that could be installed; of the others, a line each says why not."""
    there = []
    for peer in peers:
        try:
            peer.install()
        except UnavailableError as error:
            print(error, file=sys.stderr)
        else:
            there.append(peer)
    return there
