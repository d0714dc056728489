"""Writing a few records from a command: when it returns, the brokers have them all, or it raises.

For services there are the publisher (asyncio) and the transactional producer.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from runtime.clock import Clock, Deadline
from runtime.kafka.client import client_logger
from runtime.kafka.errors import (
    KafkaFault,
    KafkaRefused,
    KafkaUnreachable,
    TopicMissing,
    translate,
)
from runtime.kafka.pending import Publishable
from runtime.kafka.published import Delivered, PublishFailed, publish_error
from runtime.kafka.records import Partition

#: Seconds after which a record that was not acknowledged is given up.
WRITE_SECONDS: Final = 10.0
#: The client gives a record up this much earlier than we do, so that its reason is the one told.
_GRACE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1

_REQUIRED: Final[dict[str, object]] = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "linger.ms": 2,
    # After the default of 30 s a topic that is missing would look like brokers that do not answer.
    "topic.metadata.propagation.max.ms": 2_000,
    # Topics limit what they take; the client must not refuse what the largest of them takes.
    "message.max.bytes": 4_194_304,
}


class WriteFailed(KafkaFault):
    """Some of the records were not acknowledged. `cause` is the first of their faults.

    `written` of them are in Kafka for certain; one of the others may be, too.
    """

    def __init__(self, cause: KafkaFault, written: int) -> None:
        told = f"; {written} other records were written" if written else ""
        super().__init__(f"{cause}{told}", cause.code)
        self.cause = cause
        self.written = written


class RecordWriter:
    """Writes batches of records, each acknowledged by all in-sync replicas. A context manager.

    `properties` come from `client_properties`. Owned by one thread.
    """

    def __init__(
        self, properties: Mapping[str, object], clock: Clock, seconds: float = WRITE_SECONDS
    ) -> None:
        """Create the client; a batch has so many seconds.

        Raises:
            KafkaRefused: the client library does not take a property.
        """
        self._address = str(properties["bootstrap.servers"])
        self._clock = clock
        self._seconds = seconds
        patience = {"delivery.timeout.ms": max(1, round(seconds * 1000))}
        try:
            self._producer = Producer(
                {**properties, **_REQUIRED, **patience}, logger=client_logger()
            )
        except KafkaException as error:
            raise KafkaRefused(error.args[0].str(), error.args[0].name()) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, records: Sequence[Publishable]) -> list[Delivered]:
        """Write the records and return where each is, in their order.

        Records of one partition are written in their order. The key chooses the partition of one
        that names none.

        Raises:
            WriteFailed: not all of them were acknowledged in time.
            KafkaFault: the client cannot write at all.
        """
        batch = _Batch(self._address)
        deadline = Deadline(self._clock, self._seconds + _GRACE_SECONDS)
        for index, record in enumerate(records):
            self._produce(record, batch, index, deadline)
        while len(batch.delivered) + len(batch.failures) < len(records):
            self._poll(records)
            if deadline.expired():
                batch.fail(KafkaUnreachable(self._address, "there was no answer in time"))
                break
        if batch.failures:
            raise WriteFailed(batch.failures[0], len(batch.delivered))
        return [batch.delivered[index] for index in range(len(records))]

    def close(self) -> None:
        """Give up the client and whatever is still on its way."""
        try:
            self._producer.purge()
            self._producer.close()
        except KafkaException:
            # A producer that met a fatal error repeats it here; `write` has raised it.
            return

    def _poll(self, records: Sequence[Publishable]) -> None:
        """Serve reports. Who may not write to any topic may not be an idempotent producer either.

        Raises:
            KafkaFault: the producer met a fatal error.
        """
        try:
            self._producer.poll(_POLL_SECONDS)
        except KafkaException as error:
            topics = " and ".join(sorted({record.topic for record in records}))
            raise translate(error, self._address, f"Write on the topic {topics}") from error

    def _produce(
        self, record: Publishable, batch: "_Batch", index: int, deadline: Deadline
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    -1 if record.partition is None else record.partition,
                    partial(batch.on_delivery, index),
                    headers=list(record.headers),
                )
                return
            except BufferError as error:
                if deadline.expired():
                    batch.fail(KafkaUnreachable(self._address, str(error)))
                    return
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                batch.fail(_fault(error.args[0], self._address, record.topic))
                return


class _Batch:
    """What became of the records of one call."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.delivered: dict[int, Delivered] = {}
        self.failures: list[KafkaFault] = []

    def on_delivery(self, index: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            fault = _fault(error, self._address, message.topic())
            missing = isinstance(fault, TopicMissing)
            self.fail(TopicMissing.named(message.topic() or "") if missing else fault)
            return
        place = Partition(message.topic() or "", message.partition() or 0)
        self.delivered[index] = Delivered(place, message.offset() or 0)

    def fail(self, fault: KafkaFault) -> None:
        self.failures.append(fault)


def _fault(error: KafkaError, address: str, topic: str | None) -> KafkaFault:
    found = publish_error(error, topic)
    if isinstance(found, PublishFailed):
        return found
    if error.code() == KafkaError._MSG_TIMED_OUT:
        hint = (
            "it did not take the record in time (MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS names the "
            "brokers)"
        )
        return KafkaUnreachable(address, hint, error.name())
    return translate(error, address, f"Write on the topic {topic}")
