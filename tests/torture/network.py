"""The network between workers and broker: a proxy process under the suite's control, and its trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .frames import END_TXN, TXN_OFFSET_COMMIT

PROGRAM = Path(__file__).with_name("proxy.py")
APIS = {"commit": END_TXN, "offsets": TXN_OFFSET_COMMIT}


class Network:
    """A running proxy; `bootstrap` is the address that workers use."""

    def __init__(self, listen: int, upstream: int, trace: Path) -> None:
        """Starts with the `with` block."""
        self.bootstrap = f"127.0.0.1:{listen}"
        self.trace = trace
        self._command = [sys.executable, str(PROGRAM), str(listen), str(upstream), str(trace)]

    def __enter__(self) -> Network:
        """Start the proxy; returns once it listens."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        """Close its input, and wait for it."""
        self._process.communicate(timeout=30)

    @property
    def totals(self) -> dict[str, int]:
        """What it has done so far."""
        totals: dict[str, int] = self.tell()["totals"]
        return totals

    @property
    def held(self) -> list[str]:
        """The clients whose requests were held, in order."""
        clients: list[str] = self.tell()["held"]
        return clients

    def tell(self, **command: Any) -> dict[str, Any]:
        """Give a command."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def swallow(self, what: str) -> None:
        """Lose the next reply to a commit, or to the sending of offsets."""
        self.tell(swallow=APIS[what])

    def hold(self, what: str, seconds: float) -> None:
        """Pass the next request to commit, or to send offsets, on only after so long."""
        self.tell(hold=APIS[what], seconds=seconds)

    def calm(self) -> None:
        """Nothing more happens to any connection."""
        self.tell(calm=True)

    def lines(self) -> list[dict[str, Any]]:
        """The trace so far."""
        text = self.trace.read_text() if os.path.exists(self.trace) else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def reuses(lines: list[dict[str, Any]]) -> list[str]:
    """Producers that began a transaction although nobody can tell how their last one ended.

    A lost reply to EndTxn is made good by a later reply to the same producer's EndTxn. Without one, the next
    request of that producer must be InitProducerId, which brings another epoch.
    """
    asked: dict[tuple[int, int], dict[str, Any]] = {}
    open_: dict[tuple[int, int], bool] = {}  # producer and epoch -> its last EndTxn has no answer yet
    found = []
    for line in lines:
        place = (line["connection"], line["correlation"])
        if "request" in line:
            asked[place] = line
            who = (line.get("producer", -1), line.get("epoch", -1))
            if line["request"] == "EndTxn":
                open_[who] = True
            elif line["request"] == "AddPartitionsToTxn" and open_.pop(who, False):
                found.append(f"{line['name']}: producer {who[0]}, epoch {who[1]} went on at {line['at']}")
        elif line["reply"] == "EndTxn" and not line["lost"]:
            sent = asked[place]
            open_[sent["producer"], sent["epoch"]] = False
    return found
