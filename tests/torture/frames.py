"""What a proxy must know of Kafka's protocol: whose request a frame is, and what transactional ones say."""

from __future__ import annotations

import struct
from typing import Any

PRODUCE, FETCH = 0, 1
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 22, 24, 25, 26, 28
NAMES = {
    INIT_PRODUCER_ID: "InitProducerId",
    ADD_PARTITIONS: "AddPartitionsToTxn",
    ADD_OFFSETS: "AddOffsetsToTxn",
    END_TXN: "EndTxn",
    TXN_OFFSET_COMMIT: "TxnOffsetCommit",
}
FLEXIBLE = {INIT_PRODUCER_ID: 2, ADD_PARTITIONS: 3, ADD_OFFSETS: 3, END_TXN: 3, TXN_OFFSET_COMMIT: 3}


class Reader:
    """Fields of a frame, front to back."""

    def __init__(self, frame: bytes, flexible: bool = False) -> None:
        """`flexible` is how newer versions of a request write strings."""
        self.frame, self.at, self.flexible = frame, 0, flexible

    def number(self, form: str) -> int:
        """One number; `form` is of `struct`."""
        (value,) = struct.unpack_from(">" + form, self.frame, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def varint(self) -> int:
        """An unsigned number of variable length."""
        value = shift = 0
        while True:
            byte = self.frame[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def string(self) -> str:
        """A string; an absent one is empty."""
        length = self.varint() - 1 if self.flexible else self.number("h")
        start = self.at
        self.at += max(length, 0)
        return self.frame[start : self.at].decode()

    def tags(self) -> None:
        """Skip tagged fields, of which there are none that matter."""
        for _ in range(self.varint() if self.flexible else 0):
            self.varint()
            self.at += self.varint()


def request(frame: bytes) -> tuple[int, int, int, dict[str, Any]]:
    """The API, its version, the correlation id, and for a transactional request what it says."""
    api, version, correlation = struct.unpack_from(">hhi", frame)
    said: dict[str, Any] = {}
    if api in NAMES:
        reader = Reader(frame)
        reader.at = 8
        said["client"] = reader.string()
        reader.flexible = version >= FLEXIBLE[api]
        reader.tags()
        said["name"] = reader.string()
        if api == TXN_OFFSET_COMMIT:
            reader.string()  # the group
        if api != INIT_PRODUCER_ID:
            said["producer"], said["epoch"] = reader.number("q"), reader.number("h")
        if api == END_TXN:
            said["commit"] = bool(reader.number("b"))
    return api, version, correlation, said


def reply(frame: bytes, api: int, version: int) -> dict[str, Any]:
    """What the reply to a transactional request says."""
    reader = Reader(frame, version >= FLEXIBLE[api])
    reader.at = 4
    reader.tags()
    reader.number("i")  # throttled for so long
    if api == INIT_PRODUCER_ID:
        return {"error": reader.number("h"), "producer": reader.number("q"), "epoch": reader.number("h")}
    return {"error": reader.number("h")} if api in (ADD_OFFSETS, END_TXN) else {}
