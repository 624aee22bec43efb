"""Records that aiokafka would not write: header names that are not text."""

from __future__ import annotations

import secrets
import struct

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from .clients import Kafka
from .records import Record

CRC_AT, CHECKED_FROM = 17, 21  # offsets in a record batch: the checksum covers all that follows it


def produce_with_header_name(kafka: Kafka, topic: str, record: Record, name: bytes) -> Record:
    """Write a record with a header of this name, whatever its bytes. aiokafka cannot read it back."""
    return kafka.wait(_produce(kafka.bootstrap, topic, record, name))


async def _produce(bootstrap: str, topic: str, record: Record, name: bytes) -> Record:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        stand_in = secrets.token_hex(len(name))[: len(name)]
        batch = producer.create_batch()
        header = (stand_in, b"x")
        batch.append(key=record.key, value=record.value, timestamp=record.timestamp, headers=[header])
        data = bytearray(batch._build())
        assert data.count(stand_in.encode()) == 1
        data[:] = data.replace(stand_in.encode(), name)
        struct.pack_into(">I", data, CRC_AT, calc_crc32c(bytes(data[CHECKED_FROM:])))
        batch._buffer = data
        reply = await (await producer.send_batch(batch, topic, partition=record.partition))
        return Record(record.partition, record.key, record.value, record.timestamp, reply.offset)
