"""Kafka through aiokafka, a client that shares no code with the one under test, behind plain blocking calls.

A background thread runs the event loop, so that a transaction can stay open between two calls of a test.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteGroupsRequest, DescribeAclsRequest

from .offsets import UNSTABLE, OffsetFetch
from .records import Log, Record

T = TypeVar("T")
SECONDS = 150.0  # the longest that any one call may take
SENTINEL = b"sentinel"
LARGEST = 16 << 20
AGAIN = 0.05
COORDINATOR = {14, 15, 16}  # it is being loaded, or found


class Transaction:
    """An open transaction whose records are in the log already; ends with `commit` or `abort`."""

    def __init__(self, kafka: Kafka, producer: AIOKafkaProducer) -> None:
        """Take over a producer that began a transaction."""
        self._kafka = kafka
        self._producer = producer

    def commit(self) -> None:
        """Make the records visible."""
        self._end(self._producer.commit_transaction())

    def abort(self) -> None:
        """Make the records void."""
        self._end(self._producer.abort_transaction())

    def _end(self, how: Coroutine[Any, Any, None]) -> None:
        self._kafka.wait(how)
        self._kafka.wait(self._producer.stop())


class Kafka:
    """Everything that a test does to a cluster."""

    def __init__(self, bootstrap: str) -> None:
        """Connections are made by the `with` block."""
        self.bootstrap = bootstrap
        self._producers: list[AIOKafkaProducer] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-clients", daemon=True)

    def __enter__(self) -> Self:
        """Start the loop, an administrator and a producer."""
        self._thread.start()
        self.wait(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self.wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await self._admin.start()
        self._producer = await self._new_producer()

    async def _close(self) -> None:
        for producer in self._producers:  # also those whose test failed with a transaction open
            await producer.stop()
        await self._admin.close()

    async def _new_producer(self, **settings: Any) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, enable_idempotence=True, max_request_size=LARGEST, **settings
        )
        self._producers.append(producer)
        await producer.start()
        return producer

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop's thread to its end."""
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, SECONDS), self._loop).result()

    def create_topic(self, name: str, partitions: int = 4, **config: str) -> None:
        """Make a topic that keeps its records whatever their timestamps say."""
        settings = {"retention.ms": "-1", **{key.replace("_", "."): value for key, value in config.items()}}
        self.wait(self._create(NewTopic(name, partitions, 1, topic_configs=settings)))

    async def _create(self, topic: NewTopic) -> None:
        reply = await self._admin.create_topics([topic])
        assert all(code == 0 for _, code, _ in reply.topic_errors), reply.topic_errors
        await self._until_partitions(topic.name, topic.num_partitions)

    async def _until_partitions(self, topic: str, count: int) -> None:
        """Wait for the broker: the controller answers before the broker knows of it."""
        while await self._partitions(topic) != count:
            await asyncio.sleep(0.02)

    def produce(self, topic: str, records: Iterable[Record]) -> list[Record]:
        """Write records where they say, in order; returns them with their offsets."""
        return self.wait(_send(self._producer, topic, list(records)))

    def transaction(self, topic: str, records: Iterable[Record]) -> Transaction:
        """Write records in a transaction that stays open."""
        return self.wait(self._begin(topic, list(records)))

    async def _begin(self, topic: str, records: list[Record]) -> Transaction:
        name = uuid.uuid4().hex
        producer = await self._new_producer(transactional_id=name, transaction_timeout_ms=120_000)
        await producer.begin_transaction()
        await _send(producer, topic, records)
        return Transaction(self, producer)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is no such topic."""
        return self.wait(self._partitions(topic))

    async def _partitions(self, topic: str) -> int:
        if topic not in await self._admin.list_topics():
            return 0
        (described,) = await self._admin.describe_topics([topic])
        return len(described["partitions"])

    def config(self, topic: str) -> dict[str, str]:
        """The settings of a topic, defaults included."""
        return self.wait(self._config(topic))

    async def _config(self, topic: str) -> dict[str, str]:
        replies = await self._admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {entry[0]: entry[1] for reply in replies for entry in reply.resources[0][4]}

    def delete_topic(self, name: str) -> None:
        """Delete a topic, and wait until it has gone."""
        self.wait(self._admin.delete_topics([name]))
        self.wait(self._until_partitions(name, 0))

    def add_partitions(self, topic: str, total: int) -> None:
        """Give a topic more partitions."""
        self.wait(self._admin.create_partitions({topic: NewPartitions(total)}))
        self.wait(self._until_partitions(topic, total))

    def delete_records(self, topic: str, before: dict[int, int]) -> None:
        """Delete the records below an offset of each partition."""
        below = {TopicPartition(topic, p): RecordsToDelete(offset) for p, offset in before.items()}
        self.wait(self._admin.delete_records(below))

    async def _coordinator(self, group: str) -> int:
        """The broker that coordinates a group; a new one makes its offsets topic on the first call."""
        while True:
            with suppress(GroupCoordinatorNotAvailableError):
                return int(await self._admin.find_coordinator(group))
            await asyncio.sleep(AGAIN)

    def without_members(self, group: str) -> None:
        """Wait until a group has no members: one that ends does not wait for ever to be told that it left."""
        self.wait(self._without_members(group))

    async def _without_members(self, group: str) -> None:
        while True:
            coordinator = await self._coordinator(group)
            (reply,) = await self._admin.describe_consumer_groups([group], coordinator)
            ((code, _, _, _, _, members, *_),) = reply.groups
            if code == 0 and not members:
                return
            assert code in {0, *COORDINATOR}, for_code(code)
            await asyncio.sleep(AGAIN)

    def delete_group(self, group: str) -> None:
        """Delete a group that has no members, with all its offsets."""
        self.wait(self._delete_group(group))

    async def _delete_group(self, group: str) -> None:
        await self._without_members(group)
        coordinator = await self._coordinator(group)
        reply = await self._admin._send_request_to_node(coordinator, DeleteGroupsRequest([group]))
        assert all(code == 0 for _, code in reply.results), reply.results

    def allow_describe(
        self, kind: Literal["topic", "group", "transactional_id"], name: str, user: str
    ) -> None:
        """Grant a user DESCRIBE on something, and with that nothing else on it, to nobody."""
        self.wait(self._allow_describe({"topic": 2, "group": 3, "transactional_id": 5}[kind], name, user))

    async def _allow_describe(self, kind: int, name: str, user: str) -> None:
        literal, describe, allow = 3, 8, 3
        request = CreateAclsRequest(kind, name, literal, f"User:{user}", "*", describe, allow)
        reply = await self._admin._send_request(request)
        assert [code for code, _ in reply.creation_responses] == [0], reply
        # The controller has it now; a broker that answers with it goes by it.
        asked = DescribeAclsRequest(kind, name, literal, f"User:{user}", "*", describe, allow)
        while not (await self._admin._send_request(asked)).resources:
            await asyncio.sleep(0.05)

    def configure(self, topic: str, **config: str) -> None:
        """Replace the settings of a topic, but for the retention of `create_topic`."""
        settings = {"retention.ms": "-1", **{key.replace("_", "."): value for key, value in config.items()}}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, settings)
        for reply in self.wait(self._admin.alter_configs([resource])):
            assert all(entry[0] == 0 for entry in reply.resources), reply.resources
        while not settings.items() <= self.config(topic).items():
            time.sleep(0.02)

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition, markers of transactions included."""
        return self.wait(self._ends(topic))

    async def _ends(self, topic: str) -> dict[int, int]:
        places = [TopicPartition(topic, p) for p in range(await self._partitions(topic))]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            return {place.partition: end for place, end in (await consumer.end_offsets(places)).items()}
        finally:
            await consumer.stop()

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int | tuple[int, str]]) -> None:
        """Commit offsets for a group without members; without metadata it is as another program would."""
        self.wait(self._commit(group, offsets))

    async def _commit(self, group: str, offsets: Mapping[tuple[str, int], int | tuple[int, str]]) -> None:
        where = {TopicPartition(*place): offset for place, offset in offsets.items()}
        await self._without_members(group)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign(list(where))
            await consumer.commit(where)
        finally:
            await consumer.stop()

    def committed(self, group: str, topic: str, *, stable: bool = False) -> dict[int, tuple[int, str]]:
        """The offset and metadata that a group committed, for each partition that has one.

        A commit in a transaction is answered before its marker is written, and seen after that: `stable`
        waits for what is under way.
        """
        return self.wait(self._committed(group, topic, stable=stable))

    async def _committed(self, group: str, topic: str, *, stable: bool) -> dict[int, tuple[int, str]]:
        while (reply := await self._offsets(group, stable=stable)) is None:
            await asyncio.sleep(AGAIN)
        return {
            partition: (offset, metadata or "")
            for name, partitions, *_ in reply
            for partition, offset, _, metadata, *_ in partitions
            if name == topic and offset >= 0
        }

    async def _offsets(self, group: str, *, stable: bool) -> list[Any] | None:
        """The topics of a reply, where the coordinator could give one."""
        coordinator = await self._coordinator(group)
        request = OffsetFetch(group, stable=stable)
        reply: Any = await self._admin._send_request_to_node(coordinator, request)
        codes = {reply.error_code, *(code for _, ps, *_ in reply.topics for *_, code, _ in ps)} - {0}
        if codes & {UNSTABLE, *COORDINATOR}:
            return None
        assert not codes, [for_code(code) for code in codes]
        topics: list[Any] = reply.topics
        return topics

    def read(self, topic: str, isolation: str = "read_committed") -> Log:
        """Read a topic whole: all records up to a sentinel of our own, written to each partition now.

        Offsets cannot tell where to stop, since commit and abort markers take offsets too. Call it when no
        transaction is open. Sentinels of earlier reads are left out.
        """
        return self.wait(self._read(topic, isolation))

    async def _read(self, topic: str, isolation: str) -> Log:
        count = await self._partitions(topic)
        assert count, f"there is no topic {topic}"
        token = uuid.uuid4().bytes
        marks = [Record(p, SENTINEL, token, int(time.time() * 1000)) for p in range(count)]
        await _send(self._producer, topic, marks)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level=isolation, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            return await _collect(consumer, topic, count, token)
        finally:
            await consumer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, records: list[Record]) -> list[Record]:
    sent = [
        await producer.send(
            topic, r.value, key=r.key, partition=r.partition, timestamp_ms=r.timestamp, headers=r.headers
        )
        for r in records
    ]
    return [
        Record(r.partition, r.key, r.value, r.timestamp, reply.offset, r.headers)
        for r, reply in zip(records, await asyncio.gather(*sent), strict=True)
    ]


async def _collect(consumer: AIOKafkaConsumer, topic: str, count: int, token: bytes) -> Log:
    consumer.assign([TopicPartition(topic, p) for p in range(count)])
    log: Log = {p: [] for p in range(count)}
    open_partitions = set(log)
    while open_partitions:
        for place, batch in (await consumer.getmany(timeout_ms=1000)).items():
            for m in batch:
                if m.key == SENTINEL and m.value == token:
                    open_partitions.discard(place.partition)
                elif m.key != SENTINEL:
                    log[place.partition].append(
                        Record(place.partition, m.key, m.value, m.timestamp, m.offset, list(m.headers))
                    )
    return log
