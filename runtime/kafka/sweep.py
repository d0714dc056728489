"""Reading several partitions side by side, each up to an offset and no further, without a group."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.clock import Clock, Deadline
from runtime.kafka.bulk import BATCH, Plain, reading_properties
from runtime.kafka.client import Properties, client_logger
from runtime.kafka.errors import translate
from runtime.kafka.reader import ReaderStalled, without_passing
from runtime.kafka.topics import Span

T = TypeVar("T")

_POLL_SECONDS: Final = 0.05
#: What the answers that are under way hold at most, whatever the number of partitions.
_FETCH_BYTES: Final = 4_194_304
#: What one partition's part of an answer holds: with less, small spans take many answers.
_PARTITION_BYTES: Final = 1_048_576


class Scanned(NamedTuple):
    """A message with everything; `timestamp_ms` is 0 where the broker gave none."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp_ms: int
    headers: list[tuple[str, bytes | None]]


#: What is kept of a message with its offset.
Pick: TypeAlias = Callable[[Message, int], T]
#: Messages of one partition, in order, after its number.
Swept: TypeAlias = tuple[int, Sequence[T]]


class Sweep(Generic[T]):
    """Reads spans of a topic's partitions once, with `read_committed`, side by side.

    Never joins a group, never commits. Owned by one thread. Each sweep has a connection of its own:
    what is left in the client of an earlier reading would look like what is there.
    """

    def __init__(
        self, properties: Properties, clock: Clock, patience_seconds: float = 60.0
    ) -> None:
        self._address = str(properties["bootstrap.servers"])
        self._properties: Properties = {
            **reading_properties(properties),
            "fetch.max.bytes": _FETCH_BYTES,
            "fetch.message.max.bytes": _PARTITION_BYTES,
        }
        self._clock = clock
        self._patience = patience_seconds

    def read(self, topic: str, spans: Mapping[int, Span], pick: Pick[T]) -> Iterator[Swept[T]]:
        """Yield what is committed in the spans, of each partition in order.

        An open transaction holds its partition back until it is decided.

        Raises:
            ReaderStalled: there is more to read and none of it comes within the patience.
            KafkaFault: the brokers cannot be asked, or refuse.
        """
        left = {number: span for number, span in spans.items() if span.start < span.end}
        if not left:
            return
        consumer = None
        try:
            consumer = Consumer(self._properties, logger=client_logger())
            consumer.assign([TopicPartition(topic, n, span.start) for n, span in left.items()])
            yield from self._drain(consumer, topic, left, pick)
        except KafkaException as error:
            raise translate(error, self._address) from error
        finally:
            if consumer is not None:
                # There is no group to leave and nothing to commit.
                with suppress(KafkaException):
                    consumer.close()

    def _drain(
        self, consumer: Consumer, topic: str, left: dict[int, Span], pick: Pick[T]
    ) -> Iterator[Swept[T]]:
        patience = Deadline(self._clock, self._patience)
        while left:
            messages = consumer.consume(1, _POLL_SECONDS)
            if messages:
                # What is there, without waiting for as many: markers take offsets, too.
                messages += consumer.consume(BATCH - 1, 0)
            before = dict(left)
            yield from self._sorted(messages, left, pick)
            if done := [number for number, span in left.items() if span.start >= span.end]:
                for number in done:
                    del left[number]
                if left:
                    consumer.incremental_unassign([TopicPartition(topic, n) for n in done])
            if left != before:
                patience = Deadline(self._clock, self._patience)
            elif patience.expired():
                number, (at, end) = next(iter(left.items()))
                raise ReaderStalled(
                    f"{topic}-{number}: nothing to read at {at} of {end} for {self._patience:g} s"
                )

    def _sorted(
        self, messages: list[Message], left: dict[int, Span], pick: Pick[T]
    ) -> list[Swept[T]]:
        """Return messages by partition, and have what is left begin behind them."""
        read: dict[int, list[T]] = {number: [] for number in left}
        ends = {number: span.end for number, span in left.items()}
        reached = {number: span.start for number, span in left.items()}
        for message in without_passing(messages):
            error, number, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise translate(error, self._address)
            if number is None or offset is None or number not in read:
                # Of a partition that was read to its end before.
                continue
            if error is None:
                if offset < ends[number]:
                    read[number].append(pick(message, offset))
                offset += 1
            reached[number] = offset
        for number, at in reached.items():
            left[number] = Span(min(at, ends[number]), ends[number])
        return [(number, picked) for number, picked in read.items() if picked]


def plain(message: Message, offset: int) -> Plain:
    """Keep a message's key and value."""
    return message.key(), message.value(), offset


def scanned(message: Message, offset: int) -> Scanned:
    """Keep everything of a message."""
    kind, timestamp = message.timestamp()
    # What is read has its headers in order, as pairs with bytes; the client's types allow for more.
    headers: list[tuple[str, bytes | None]] = message.headers() or []  # type: ignore[assignment]
    return Scanned(message.key(), message.value(), offset, timestamp if kind else 0, headers)


def keyed(keys: Collection[bytes]) -> Pick[Scanned | None]:
    """Return what keeps everything of messages with one of these keys, and nothing of others."""
    return lambda message, offset: scanned(message, offset) if message.key() in keys else None
