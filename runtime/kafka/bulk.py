"""Reading one partition fast, up to an offset and no further, without a group."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.clock import Clock, Deadline
from runtime.kafka.client import Properties, client_logger
from runtime.kafka.errors import translate
from runtime.kafka.reader import ReaderStalled, read_acl, without_passing
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span

#: Messages of one batch at most.
BATCH: Final = 2_000
_POLL_SECONDS: Final = 0.05


#: A message as (key, value, offset).
Plain: TypeAlias = tuple[bytes | None, bytes | None, int]


class Batch(NamedTuple):
    """Some messages, in order; all before `next_offset` has been read."""

    messages: list[Plain]
    next_offset: int


def reading_properties(base: Properties) -> Properties:
    """Return the properties of a consumer that reads much at once and leaves no trace."""
    return {
        **base,
        # Required by the client; without subscribe or commit no group comes to be.
        "group.id": "mailcascade-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        # The end of a partition is told with an empty answer, which takes this long.
        "fetch.wait.max.ms": 10,
        # What is fetched ahead is memory; small messages take several times their size.
        "queued.min.messages": 8 * BATCH,
        "queued.max.messages.kbytes": 8_192,
        # For so long the client looks away once it has fetched enough; a second by default.
        "fetch.queue.backoff.ms": 2,
    }


class BulkReader:
    """Reads spans with `read_committed`; never joins a group, never commits. For one thread.

    It connects when it is first used and keeps the connection until it is closed.
    """

    def __init__(
        self, properties: Properties, clock: Clock, patience_seconds: float = 60.0
    ) -> None:
        self._address = str(properties["bootstrap.servers"])
        self._properties = reading_properties(properties)
        self._clock = clock
        self._patience = patience_seconds
        self._consumer: Consumer | None = None
        #: What was read last; reading it once more in a row takes a new connection.
        self.last: Partition | None = None

    def read(
        self, partition: Partition, span: Span, stopped: Callable[[], bool]
    ) -> Iterator[Batch]:
        """Yield what is committed in the span; ends early, within moments, once `stopped`.

        The end of the span may be a transaction's marker or an aborted record, which nobody is
        shown; the last batch tells that it was reached. An open transaction holds the reader back
        until it is decided.

        Raises:
            ReaderStalled: there is more to read and none of it comes within the patience.
            KafkaFault: the brokers cannot be asked, or refuse.
        """
        if span.start >= span.end:
            return
        if self.last == partition:
            # What is left of the last assignment would look like what is there.
            self.close()
        try:
            if self._consumer is None:
                self._consumer = Consumer(self._properties, logger=client_logger())
            self.last = partition
            self._consumer.assign([TopicPartition(*partition, span.start)])
            yield from self._drain(self._consumer, _Course(partition, span, stopped))
        except KafkaException as error:
            raise translate(error, self._address) from error

    def close(self) -> None:
        """Close the connection; reading again opens it again."""
        consumer, self._consumer = self._consumer, None
        self.last = None
        if consumer is None:
            return
        try:
            consumer.close()
        except KafkaException:
            # There is no group to leave and nothing to commit.
            return

    def _drain(self, consumer: Consumer, course: "_Course") -> Iterator[Batch]:
        at, end = course.span
        patience = Deadline(self._clock, self._patience)
        while at < end and not course.stopped():
            messages = consumer.consume(1, _POLL_SECONDS)
            most = min(BATCH, end - at)
            if messages and most > 1:
                # What is there, without waiting for as many: markers take offsets, too.
                messages += consumer.consume(most - 1, 0)
            batch = self._batch(without_passing(messages), course.partition, Span(at, end))
            if batch.next_offset > at:
                at = batch.next_offset
                yield batch
                patience = Deadline(self._clock, self._patience)
            elif patience.expired():
                topic, number = course.partition
                raise ReaderStalled(
                    f"{topic}-{number}: nothing to read at {at} of {end} for {self._patience:g} s"
                )

    def _batch(self, messages: list[Message], partition: Partition, left: Span) -> Batch:
        at, end = left
        # What is left of the last assignment comes before all that is of this one.
        while messages and (messages[0].topic(), messages[0].partition()) != partition:
            del messages[0]
        read = []
        for message in messages:
            error, offset = message.error(), message.offset()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise translate(error, self._address, read_acl(message))
                at = max(at, offset or 0)
            elif offset is not None and offset >= at:
                if offset < end:
                    read.append((message.key(), message.value(), offset))
                at = offset + 1
        return Batch(read, min(at, end))


@dataclass(frozen=True, slots=True)
class _Course:
    """What is read, and when reading ends early."""

    partition: Partition
    span: Span
    stopped: Callable[[], bool]
