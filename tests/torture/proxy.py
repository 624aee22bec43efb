"""A TCP proxy that does to Kafka's frames what networks do: delays, cuts in the middle, loses replies.

`python proxy.py LISTEN UPSTREAM TRACE` obeys lines of JSON on standard input, answers each with its totals,
and ends with its input. It writes a line to TRACE for each transactional request and reply.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from torture.frames import NAMES, reply, request

SWALLOWED_FOR = 1.0  # seconds from a lost reply to the end of its connection


class Cut(Exception):
    """A connection ends here."""


class Proxy:
    """Connections, and what is to happen to them."""

    def __init__(self, upstream: int, trace: IO[str]) -> None:
        """Nothing happens to anything at first."""
        self.upstream, self.trace = upstream, trace
        self.delay = 0.0
        self.delay_until = 0.0
        self.cuts = {"request": 0, "reply": 0}  # how many of the next frames are cut
        self.swallow: Counter[int] = Counter()  # API -> how many of its next replies get lost
        self.hold: dict[int, float] = {}  # API -> seconds by which its next request is late
        self.held: list[str] = []  # whose requests were
        self.totals: Counter[str] = Counter()
        self.connections = 0

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command: `delay` for `seconds`, `cut` a side, `swallow` or `hold` an API, or none."""
        if "delay" in command:
            self.delay, self.delay_until = command["delay"], time.monotonic() + command["seconds"]
        if "cut" in command:
            self.cuts[command["cut"]] += command["count"]
        if "swallow" in command:
            self.swallow[command["swallow"]] += 1
        if "hold" in command:
            self.hold[command["hold"]] = command["seconds"]
        if command.get("calm"):
            self.hold.clear()
            self.delay_until = 0.0
            self.cuts = dict.fromkeys(self.cuts, 0)
            self.swallow.clear()
        return {"totals": self.totals, "held": self.held}

    def note(self, **what: Any) -> None:
        """Write a line of the trace."""
        print(json.dumps({"at": round(time.monotonic(), 3), **what}), file=self.trace, flush=True)

    async def connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        number = self.connections
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.close()
            return
        asked: dict[int, tuple[int, int]] = {}
        tasks = [
            asyncio.create_task(self.requests(number, reader, up_writer, asked)),
            asyncio.create_task(self.replies(number, up_reader, writer, asked)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.exception()  # an end of the connection, however it came
        finally:
            for task in tasks:
                task.cancel()
            writer.close()
            up_writer.close()

    async def requests(
        self, number: int, reader: StreamReader, writer: StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        """Pass requests on."""
        while True:
            frame = await take(reader)
            api, version, correlation, said = request(frame)
            asked[correlation] = (api, version)
            if said:
                self.note(connection=number, correlation=correlation, request=NAMES[api], **said)
            if seconds := self.hold.pop(api, 0.0):
                self.held.append(said["client"])
                self.totals[f"held {NAMES[api]}"] += 1
                await asyncio.sleep(seconds)
            await self.pass_on("request", frame, writer)

    async def replies(
        self, number: int, reader: StreamReader, writer: StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        """Pass replies on, late, or not at all."""
        while True:
            frame = await take(reader)
            correlation = int.from_bytes(frame[:4], "big")
            api, version = asked.pop(correlation, (-1, -1))
            lost = self.swallow[api] > 0
            if api in NAMES:
                told = reply(frame, api, version)
                self.note(connection=number, correlation=correlation, reply=NAMES[api], lost=lost, **told)
            if lost:
                self.swallow[api] -= 1
                self.totals[f"swallowed {NAMES[api]}"] += 1
                await asyncio.sleep(SWALLOWED_FOR)
                raise Cut
            if time.monotonic() < self.delay_until:
                await asyncio.sleep(self.delay)
                self.totals["delayed"] += 1
            await self.pass_on("reply", frame, writer)

    async def pass_on(self, side: str, frame: bytes, writer: StreamWriter) -> None:
        """Write a frame, or half of it."""
        whole = len(frame).to_bytes(4, "big") + frame
        if self.cuts[side]:
            self.cuts[side] -= 1
            self.totals[f"cut {side}"] += 1
            writer.write(whole[: len(whole) // 2])
            await writer.drain()
            raise Cut
        writer.write(whole)
        await writer.drain()


async def take(reader: StreamReader) -> bytes:
    """The next frame."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


async def main() -> None:
    """Serve until standard input closes."""
    listen, upstream = map(int, sys.argv[1:3])
    with Path(sys.argv[3]).open("w") as trace:
        proxy = Proxy(upstream, trace)
        server = await asyncio.start_server(proxy.connect, "127.0.0.1", listen, limit=1 << 20)
        commands = StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        print("{}", flush=True)
        async with server:
            while line := await commands.readline():
                print(json.dumps(proxy.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
