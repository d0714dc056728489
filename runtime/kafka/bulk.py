"""Reading one partition fast, up to an offset and no further, without a group."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.clock import Clock, Deadline
from runtime.kafka.client import Properties, client_logger
from runtime.kafka.errors import translate
from runtime.kafka.reader import ReaderStalled, without_passing
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span

#: Messages of one batch at most.
BATCH: Final = 2_000
_POLL_SECONDS: Final = 0.05


T = TypeVar("T")

#: A message as (key, value, offset).
Plain: TypeAlias = tuple[bytes | None, bytes | None, int]


class Scanned(NamedTuple):
    """A message with everything; `timestamp_ms` is 0 where the broker gave none."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp_ms: int
    headers: list[tuple[str, bytes | None]]


class Messages(NamedTuple, Generic[T]):
    """Some messages, in order; all before `next_offset` has been read."""

    messages: list[T]
    next_offset: int


Batch: TypeAlias = Messages[Plain]


class BulkReader:
    """Reads spans with `read_committed`; never joins a group, never commits. For one thread.

    It connects when it is first used and keeps the connection until it is closed.
    """

    def __init__(
        self, properties: Properties, clock: Clock, patience_seconds: float = 60.0
    ) -> None:
        self._address = str(properties["bootstrap.servers"])
        self._properties: Properties = {
            **properties,
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
        yield from self._read(_Course(partition, span, stopped), _plain)

    def scan(
        self, partition: Partition, span: Span, stopped: Callable[[], bool]
    ) -> Iterator[Messages[Scanned]]:
        """Yield the same with timestamps and headers; ends and raises as `read`."""
        yield from self._read(_Course(partition, span, stopped), _scanned)

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

    def _read(self, course: "_Course", pick: "_Pick[T]") -> Iterator[Messages[T]]:
        span = course.span
        if span.start >= span.end:
            return
        if self.last == course.partition:
            # What is left of the last assignment would look like what is there.
            self.close()
        try:
            if self._consumer is None:
                self._consumer = Consumer(self._properties, logger=client_logger())
            self.last = course.partition
            self._consumer.assign([TopicPartition(*course.partition, span.start)])
            yield from self._drain(self._consumer, course, pick)
        except KafkaException as error:
            raise translate(error, self._address) from error

    def _drain(
        self, consumer: Consumer, course: "_Course", pick: "_Pick[T]"
    ) -> Iterator[Messages[T]]:
        at, end = course.span
        patience = Deadline(self._clock, self._patience)
        while at < end and not course.stopped():
            messages = consumer.consume(1, _POLL_SECONDS)
            most = min(BATCH, end - at)
            if messages and most > 1:
                # What is there, without waiting for as many: markers take offsets, too.
                messages += consumer.consume(most - 1, 0)
            batch = self._batch(without_passing(messages), course.partition, Span(at, end), pick)
            if batch.next_offset > at:
                at = batch.next_offset
                yield batch
                patience = Deadline(self._clock, self._patience)
            elif patience.expired():
                topic, number = course.partition
                raise ReaderStalled(
                    f"{topic}-{number}: nothing to read at {at} of {end} for {self._patience:g} s"
                )

    def _batch(
        self, messages: list[Message], partition: Partition, left: Span, pick: "_Pick[T]"
    ) -> Messages[T]:
        at, end = left
        # What is left of the last assignment comes before all that is of this one.
        while messages and (messages[0].topic(), messages[0].partition()) != partition:
            del messages[0]
        read = []
        for message in messages:
            error, offset = message.error(), message.offset()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise translate(error, self._address)
                at = max(at, offset or 0)
            elif offset is not None and offset >= at:
                if offset < end:
                    read.append(pick(message, offset))
                at = offset + 1
        return Messages(read, min(at, end))


#: What is kept of a message with its offset.
_Pick: TypeAlias = Callable[[Message, int], T]


@dataclass(frozen=True, slots=True)
class _Course:
    """What is read, and when reading ends early."""

    partition: Partition
    span: Span
    stopped: Callable[[], bool]


def _plain(message: Message, offset: int) -> Plain:
    return message.key(), message.value(), offset


def _scanned(message: Message, offset: int) -> Scanned:
    kind, timestamp = message.timestamp()
    # What is read has its headers in order, as pairs with bytes; the client's types allow for more.
    headers: list[tuple[str, bytes | None]] = message.headers() or []  # type: ignore[assignment]
    return Scanned(message.key(), message.value(), offset, timestamp if kind else 0, headers)
