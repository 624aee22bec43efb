"""Records that break readers: each kind that is no event, with its reason, and those that only look wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .judge import LARGEST_VALUE
from .load import BASE
from .records import Headers, Record

NOW = BASE + 30_000  # event and record time of all of them
HOUR = 3_600_000
MILLION = 1_000_000


def body(extra: str, ts: object = NOW) -> bytes:
    """An object that is an event but for what `extra` does to it."""
    return f'{{"ts": {ts}, {extra}}}'.encode()


def padded(size: int) -> bytes:
    """A valid event of this many bytes."""
    bare = body('"seq": 31, "pad": ""')
    return bare.replace(b'""', b'"' + b"x" * (size - len(bare)) + b'"')


BAD: dict[str, list[bytes | None]] = {
    "not_json": [
        None,
        b"",
        b" ",
        b"\xff\xfe\x00",
        b"{",
        b'{"ts": 1, "seq": 1} {',
        b"plain text",
        body('"seq": NaN'),
        body('"seq": -Infinity'),
        body('"seq": 01'),
    ],
    "missing_field": [body('"other": 1'), body('"seq": null')],
    "bad_type": [
        body('"seq": "1"'),
        body('"seq": [1]'),
        body('"seq": {"a": 1}'),
        body('"seq": 1e400'),
        body('"seq": -1e400'),
        body('"seq": ' + "9" * MILLION),
    ],
    "bad_timestamp": [
        body('"seq": 1', ts='"1700000000000"'),
        body('"seq": 1', ts="true"),
        body('"seq": 1', ts="null"),
        body('"seq": 1', ts="[]"),
        b'{"seq": 1}',
        body('"seq": 1', ts=2**63 - 1),
        body('"seq": 1', ts=-(2**63)),
        body('"seq": 1', ts=2**64),
        body('"seq": 1', ts="1e300"),
        body('"seq": 1', ts=253402300800000),
        body('"seq": 1', ts=-253402300800000),
    ],
    "future_timestamp": [
        body('"seq": 1', ts=NOW + HOUR + 1),
        body('"seq": 1', ts=NOW + 24 * HOUR),
        body('"seq": 1', ts=253402300799999),
    ],
    "too_large": [padded(LARGEST_VALUE + 1), b"x" * 2 * LARGEST_VALUE],
    "too_deep": [
        body('"seq": 1, "x": ' + "[" * 70 + "]" * 70),
        body('"seq": 1, "x": ' + "[" * 10_000 + "]" * 10_000),
        body('"seq": 1, "x": ' + '{"a":' * 10_000 + "1" + "}" * 10_000),
    ],
}
GOOD = [
    body('"seq": 21, "seq": 22'),
    body('"seq": true'),
    body('"seq": 23.75'),
    body('"seq": 0.' + "1" * MILLION),
    body('"seq": 24, "x": "' + "[{" * 10_000 + '\\\\\\""'),
    body('"seq": 25, "x": ' + "[" * 60 + "]" * 60),
    body('"seq": 26', ts=f"{NOW}.9"),
    body('"seq": 27', ts=f"{NOW // 1000}e3"),
    b'\r\n\t {"seq": 28, "ts": %d} ' % NOW,
    body('"seq": 29, "x": "\\u0000\\ud83d\\ude00"'),
    padded(LARGEST_VALUE),
]


def bad() -> Iterator[tuple[str, Record]]:
    """Every kind of record that is no event, with the reason, spread over four partitions."""
    pairs = [(reason, b"key-00", value) for reason, values in BAD.items() for value in values]
    for n, (reason, key, value) in enumerate([*pairs, ("missing_key", None, body('"seq": 1'))]):
        yield reason, Record(n % 4, key, value, NOW)


def odd() -> Iterator[Record]:
    """Records that only look wrong: they are events."""
    many: Headers = [(f"header-{n}", b"x" * (n % 7)) for n in range(1000)]
    strange: Headers = [("", b""), ("null", None), ("reason", b"none"), ("reason", b"\xff")]
    keys = [b"", b"\xff", b"\x00", "ключ".encode(), b"k" * 1000]
    records = [
        *(Record(0, b"key-00", value, NOW) for value in GOOD),
        *(Record(0, key, body('"seq": 41'), NOW) for key in keys),
        *(Record(0, b"key-00", body('"seq": 42'), NOW, headers=headers) for headers in (many, strange)),
    ]
    for n, record in enumerate(records):
        yield replace(record, partition=n % 4)
