"""The publisher against a real broker: acknowledged, refused, unreachable, back again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import murmur2

from console.stack.kafka import KafkaBroker
from ingest.serve import MAX_RECORD_BYTES
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.errors import KafkaRefused
from runtime.kafka.published import Delivered, PublishUnavailable, RecordTooLarge
from runtime.kafka.publisher import Publisher
from runtime.kafka.reader import TopicReader
from runtime.kafka.records import OutRecord, Partition
from runtime.kafka.topics import TopicSpec
from tests.support.broker import BrokerAddress, create_topics
from tests.support.wait import eventually

NOBODY = "127.0.0.1:9"
WITHIN = 10.0


def record(topic: str, key: bytes = b"lane", value: bytes = b"value") -> OutRecord:
    return OutRecord(topic, key, value, (("ce_id", b"1"),))


@asynccontextmanager
async def publishing(bootstrap: str, **properties: object) -> AsyncIterator[Publisher]:
    named = {name.replace("_", "."): value for name, value in properties.items()}
    quiet = {"bootstrap.servers": bootstrap, "log_level": 0, **named}
    publisher = Publisher(quiet, SystemClock())
    publisher.start()
    try:
        yield publisher
    finally:
        await publisher.close(0.1)


async def test_records_are_acknowledged_in_order(
    broker: BrokerAddress, topics: Callable[..., Topology]
) -> None:
    """One recipient's records share a partition, the one that Java's clients would choose."""
    topic = topics().main
    async with publishing(broker.bootstrap) as publisher:
        values = [str(number).encode() for number in range(500)]
        assert await publisher.publish_many([record(topic, value=value) for value in values]) == {}
        last = await publisher.publish(record(topic))
    assert last == Delivered(Partition(topic, murmur2(b"lane", 4)), 500)
    spans = TopicAdmin({"bootstrap.servers": broker.bootstrap}).spans([topic])
    reader = TopicReader({"bootstrap.servers": broker.bootstrap}, SystemClock())
    assert [read.value for read in reader.read(spans)][:500] == values


async def test_a_record_stays_published_when_its_waiter_is_cancelled(
    broker: BrokerAddress, topics: Callable[..., Topology]
) -> None:
    """A client that hangs up does not take its mail back."""
    topic = topics().main
    async with publishing(broker.bootstrap) as publisher:
        waiting = asyncio.create_task(publisher.publish(record(topic)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        second = await publisher.publish(record(topic))
    assert second.offset == 1


async def test_closing_flushes_what_is_on_its_way(
    broker: BrokerAddress, topics: Callable[..., Topology]
) -> None:
    """And says that nothing was left."""
    topic = topics().main
    publisher = Publisher({"bootstrap.servers": broker.bootstrap}, SystemClock())
    publisher.start()
    failures, left = await asyncio.gather(
        publisher.publish_many([record(topic) for _ in range(100)]), publisher.close(WITHIN)
    )
    assert left == 0
    assert failures == {}


async def test_a_record_that_is_too_large_is_refused_for_good(
    broker: BrokerAddress, topics: Callable[..., Topology]
) -> None:
    """Its neighbours are written."""
    topic = topics().main
    async with publishing(broker.bootstrap) as publisher:
        failures = await publisher.publish_many(
            [record(topic), record(topic, value=b"x" * 2_000_000), record(topic)]
        )
    assert failures.keys() == {1}
    assert isinstance(failures[1], RecordTooLarge)
    assert failures[1].code == "MSG_SIZE_TOO_LARGE"


async def test_what_the_service_does_not_refuse_as_too_large_its_topic_takes(
    broker: BrokerAddress, prefix: str
) -> None:
    """The largest record that gets as far as the brokers is written."""
    topology = Topology(prefix, parse_tiers("1s"), 1)
    main = desired(topology, replication=1)[0]
    TopicAdmin({"bootstrap.servers": broker.bootstrap}).create([main])
    async with publishing(broker.bootstrap, message_max_bytes=MAX_RECORD_BYTES) as publisher:
        for size in range(MAX_RECORD_BYTES, 0, -1):
            try:
                await publisher.publish(record(main.name, value=b"x" * size))
            except RecordTooLarge:
                continue
            break
    assert MAX_RECORD_BYTES - 100 < size < MAX_RECORD_BYTES


async def test_a_topic_that_takes_less_refuses_a_record_as_too_large(
    broker: BrokerAddress, prefix: str
) -> None:
    """The brokers have the last word."""
    small = TopicSpec(prefix, 1, 1, {"max.message.bytes": "2000"})
    TopicAdmin({"bootstrap.servers": broker.bootstrap}).create([small])
    async with publishing(broker.bootstrap) as publisher:
        with pytest.raises(RecordTooLarge):
            await publisher.publish(record(prefix, value=b"x" * 3_000))


async def test_nobody_to_publish_to_is_told_within_ten_seconds() -> None:
    """First after the time for a delivery, then at once, for it is known."""
    async with publishing(NOBODY) as publisher:
        for limit in (WITHIN, 0.5):
            started = time.monotonic()
            with pytest.raises(PublishUnavailable) as caught:
                await publisher.publish(record("mails"))
            assert time.monotonic() - started < limit
            assert caught.value.retry_after_s > 0
        assert not publisher.healthy()
        assert publisher.reason


async def test_a_full_queue_refuses_at_once() -> None:
    """What was queued before keeps its place."""
    async with publishing(NOBODY, queue_buffering_max_messages=2) as publisher:
        waiting = asyncio.create_task(publisher.publish_many([record("mails")] * 2))
        await asyncio.sleep(0)
        with pytest.raises(PublishUnavailable, match="full"):
            await publisher.publish(record("mails"))
        assert not waiting.done()
        assert await publisher.close(0) == 2
        outcomes = await waiting
    assert outcomes.keys() == {0, 1}
    assert all(isinstance(outcome, PublishUnavailable) for outcome in outcomes.values())


async def test_a_broker_that_comes_back_is_used_again(own_broker: KafkaBroker) -> None:
    """Health follows it both ways, and nothing is acknowledged meanwhile."""
    create_topics(own_broker.bootstrap, ["mails"], partitions=2)
    async with publishing(own_broker.bootstrap) as publisher:
        await publisher.publish(record("mails"))
        await eventually(publisher.healthy, within=WITHIN)
        await asyncio.to_thread(own_broker.kill)
        await eventually(lambda: not publisher.healthy(), within=WITHIN)
        started = time.monotonic()
        with pytest.raises(PublishUnavailable):
            await publisher.publish(record("mails"))
        assert time.monotonic() - started < WITHIN
        await asyncio.to_thread(own_broker.start)
        await eventually(publisher.healthy, within=30)
        again = await publisher.publish(record("mails"))
    spans = TopicAdmin({"bootstrap.servers": own_broker.bootstrap}).spans(["mails"])
    assert spans[again.partition].end == again.offset + 1


async def test_a_property_that_does_not_exist_is_refused() -> None:
    """Before anything is started."""
    with pytest.raises(KafkaRefused, match=r"no\.such\.property"):
        Publisher({"no.such.property": 1}, SystemClock()).start()
