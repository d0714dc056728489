"""An asyncio publisher: a record counts as published once the brokers acknowledged it.

The event loop polls the producer itself, every millisecond while records are on their way. A thread
that waits for delivery reports would answer a little sooner, but each of its wake-ups takes the
interpreter away from the loop, which costs more than all the rest of publishing a record. So every
callback of the client runs in the loop, and nothing here is shared between threads.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from confluent_kafka import KafkaException, Producer

from runtime.clock import Clock, Deadline
from runtime.kafka.client import client_logger, error_hook
from runtime.kafka.connection import Connection
from runtime.kafka.errors import KafkaRefused, denial
from runtime.kafka.pending import PendingRecords, Publishable
from runtime.kafka.published import (
    RETRY_OUTAGE,
    RETRY_QUEUE,
    Delivered,
    PublishError,
    PublishUnavailable,
    publish_error,
)
from runtime.kafka.records import Partition
from runtime.logs import get_logger

_log = get_logger(__name__)

#: Seconds after which a record that was not acknowledged is given up.
DELIVERY_SECONDS: Final = 8.0
#: Between two polls: while records are on their way, and while only the state may change.
_BUSY_SECONDS: Final = 0.001
_IDLE_SECONDS: Final = 0.1

_TUNED: Final[dict[str, object]] = {
    "linger.ms": 1,
    "queue.buffering.max.messages": 50_000,
    "queue.buffering.max.kbytes": 65_536,
}
_REQUIRED: Final[dict[str, object]] = {
    "acks": "all",
    "enable.idempotence": True,
    # Java's choice of partition, so that every client puts a recipient into the same lane.
    "partitioner": "murmur2_random",
    "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
}


class Publisher:
    """Publishes for one event loop. Cancelling a wait does not take a record back."""

    def __init__(self, properties: Mapping[str, object], clock: Clock) -> None:
        self._properties = {**_TUNED, **properties, **_REQUIRED}
        self._open: set[PendingRecords] = set()
        self._clock = clock
        self._connection = Connection(clock, "publisher")
        self._broken_by = ""

    def start(self) -> None:
        """Connect in the background; to be called in the event loop that will publish.

        Raises:
            KafkaRefused: the client library does not take a property.
        """
        self._loop = asyncio.get_running_loop()
        self._broken = asyncio.Event()
        hooks = {**self._connection.hooks(), "error_cb": error_hook(self._on_fault)}
        try:
            self._producer = Producer({**self._properties, **hooks}, logger=client_logger())
        except KafkaException as error:
            raise KafkaRefused(error.args[0].str(), error.args[0].name()) from error
        self._busy = False
        self._timer = self._loop.call_soon(self._poll)

    async def publish(self, record: Publishable) -> Delivered:
        """Write one record and return where it is, once all in-sync replicas have it.

        Raises:
            PublishUnavailable: it was not acknowledged in time, or cannot be queued now.
            PublishFailed: the brokers refuse the record for good.
        """
        pending = await self._settled((record,))
        if pending.failures or pending.last is None:
            raise pending.failures[0]
        place = Partition(record.topic, pending.last.partition() or 0)
        return Delivered(place, pending.last.offset() or 0)

    async def publish_many(self, records: Sequence[Publishable]) -> dict[int, PublishError]:
        """Write records; return by its index each that was not acknowledged, and why."""
        return (await self._settled(records)).failures if records else {}

    def healthy(self) -> bool:
        """Tell whether a broker is connected, as far as known; at most some 2 s behind."""
        return self._connection.connected and not self._broken_by

    @property
    def reason(self) -> str:
        """Why it is not healthy; empty while it is."""
        return self._broken_by or self._connection.reason

    @property
    def fatal(self) -> bool:
        """Tell whether the producer broke for good, so that only a new process helps."""
        return bool(self._broken_by)

    async def broken(self) -> None:
        """Return when the producer broke for good."""
        await self._broken.wait()

    async def close(self, seconds: float) -> int:
        """Flush for at most so many seconds; return how many records were given up."""
        deadline = Deadline(self._clock, seconds)
        while self._open and not deadline.expired():
            self._serve()
            await asyncio.sleep(_BUSY_SECONDS)
        self._timer.cancel()
        left = sum(pending.under_way for pending in self._open)
        if left:
            _log.error("publisher.records_given_up", records=left)
            self._producer.purge()
            self._serve()
        try:
            self._producer.close()
        except KafkaException:
            # A producer that broke for good says so once more here.
            _log.debug("publisher.closed_broken")
        return left

    async def _settled(self, records: Sequence[Publishable]) -> PendingRecords:
        pending = PendingRecords(self._loop.create_future(), len(records), self._open)
        unreachable = self._unreachable()
        for index, record in enumerate(records):
            failure = unreachable or self._produce(record, partial(pending.on_delivery, index))
            if failure is not None:
                pending.fail(index, failure)
        if pending.under_way and not self._busy:
            self._poll_in(_BUSY_SECONDS)
        await pending.done
        return pending

    def _produce(self, record: Publishable, on_delivery: "partial[None]") -> PublishError | None:
        try:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                -1 if record.partition is None else record.partition,
                on_delivery,
                headers=list(record.headers),
            )
        except BufferError:
            return PublishUnavailable("the queue to Kafka is full", RETRY_QUEUE, "_QUEUE_FULL")
        except KafkaException as error:
            return publish_error(error.args[0], record.topic)
        return None

    def _unreachable(self) -> PublishError | None:
        """Tell callers at once what others waited for in vain."""
        if self._connection.down_seconds() <= DELIVERY_SECONDS:
            return None
        return PublishUnavailable(self.reason, RETRY_OUTAGE)

    def _poll(self) -> None:
        try:
            self._serve()
        finally:
            self._poll_in(_BUSY_SECONDS if self._open else _IDLE_SECONDS)

    def _serve(self) -> None:
        """Serve the client's reports; it raises, once, when the producer broke for good."""
        try:
            self._producer.poll(0)
        except KafkaException as error:
            fault = error.args[0]
            # Who may write to no topic may not be an idempotent producer either.
            why = denial(fault, "Write on the topics that this process writes") or fault.str()
            self._set_broken(f"the producer broke for good: {why}")

    def _poll_in(self, seconds: float) -> None:
        self._timer.cancel()
        self._busy = seconds == _BUSY_SECONDS
        self._timer = self._loop.call_later(seconds, self._poll)

    def _on_fault(self, name: str, fatal: bool) -> None:
        self._connection.faulted(name, fatal)
        if fatal:
            self._set_broken(f"the producer broke for good ({name})")

    def _set_broken(self, reason: str) -> None:
        self._broken_by = reason
        self._connection.lost(reason)
        self._broken.set()
