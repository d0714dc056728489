"""One Kafka transaction of forwards and offsets, with an answer to the only question: did it count?

A failed transaction either did nothing (`TransactionAborted`, repeat it) or its end is not known
from here (`TransactionInDoubt`): then a new producer with the same transactional id settles it on
the broker, and the token beside the group's committed offsets tells what it was.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Never, Protocol, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from runtime.clock import Deadline
from runtime.kafka.client import Properties, client_logger
from runtime.kafka.consumer import GroupMetadata
from runtime.kafka.errors import KafkaDenied, KafkaFault, denial
from runtime.kafka.records import OutRecord, Partition
from runtime.logs import get_logger

_log = get_logger("kafka.transactions")

#: Told what became of one record.
_Report: TypeAlias = Callable[[KafkaError | None, Message], None]

#: So long others may attend to acknowledgements before the thread itself does, in seconds.
_ATTENDED_SECONDS: Final = 0.5
#: One call's patience; a transient failure is repeated until the caller's deadline.
_STEP_SECONDS: Final = 5.0


#: How a producer learns that another one has its transactional id.
_FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
)


class Attendant(Protocol):
    """Calls something again and again on another thread, until it is done.

    The client library takes the interpreter's lock for each acknowledged record. On a thread that
    is not the busiest one it would wait for the lock each time, and the busiest one for its return.
    """

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Return True once `done` does, False if it has not within so many seconds."""


class CommitStep(StrEnum):
    """The moments of a transaction between which a crash can fall."""

    BEFORE_BEGIN = "before_begin"
    AFTER_PRODUCE = "after_produce"
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


class TransactionAborted(KafkaFault):
    """Nothing of the transaction counts; it may be repeated with fresh group metadata."""


class TransactionInDoubt(KafkaFault):
    """The producer is unusable and the transaction may or may not have been committed."""


class TransactionFenced(TransactionInDoubt):
    """Another producer has this transactional id, or the broker has given this one up."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What counts as one step: records to write, and for each partition the next offset to read.

    `token` is kept beside the offsets, so that they tell whose they are. `metadata` fences a member
    that lost its partitions.
    """

    records: Sequence[OutRecord]
    offsets: Mapping[Partition, int]
    token: str
    metadata: GroupMetadata


def transaction_properties(base: Properties, transactional_id: str) -> Properties:
    """Return the properties of a transactional producer on top of the client's."""
    own: Properties = {
        # With the default of 100 ms each transaction waits that long for the markers of the last.
        "retry.backoff.ms": 5,
        "transaction.timeout.ms": 10_000,
        # A transaction's records are written in less: so a partition's go out together.
        "linger.ms": 2,
        # Topics limit what they take; the client must not refuse what the largest of them takes.
        "message.max.bytes": 4_194_304,
        "compression.type": "lz4",
    }
    return own | dict(base) | {"transactional.id": transactional_id, "acks": "all"}


class TransactionalProducer:
    """A producer whose every record is part of a transaction. Owned by one thread."""

    def __init__(
        self,
        properties: Properties,
        checkpoint: Callable[[CommitStep], None],
        attendant: Attendant | None = None,
    ) -> None:
        """Create the producer; `checkpoint` is called at each step, for tests of crashes."""
        self._attendant = attendant
        self._id = str(properties["transactional.id"])
        self._producer = Producer(dict(properties), logger=client_logger())
        self._checkpoint = checkpoint
        self._written: dict[Partition, int] = {}
        self._denied = ""
        self._need = ""

    def initialise(self, deadline: Deadline) -> None:
        """Fence earlier producers of this transactional id and settle their open transaction.

        Raises:
            KafkaDenied: an ACL is missing; the message names it.
            KafkaFault: the broker did not answer before the deadline.
        """
        try:
            _until(deadline, self._producer.init_transactions)
        except KafkaException as error:
            if denied := denial(error.args[0], f"Write on the transactional id {self._id}"):
                raise KafkaDenied(denied, error.args[0].name()) from error
            raise KafkaFault(f"transactions cannot begin: {_reason(error)}") from error

    def commit(self, transaction: Transaction, deadline: Deadline) -> Mapping[Partition, int]:
        """Write the records and commit the offsets as one step.

        Returns the offset of the last record that was written to each partition.

        Raises:
            TransactionAborted: none of it happened.
            TransactionInDoubt: it is not known; this producer must be replaced.
        """
        self._checkpoint(CommitStep.BEFORE_BEGIN)
        self._written = {}
        self._denied = ""
        try:
            self._producer.begin_transaction()
            self._produce_all(transaction.records)
            self._checkpoint(CommitStep.AFTER_PRODUCE)
            self._flush()
            # Not repeated after a time-out: the client would wait for its first call for ever.
            self._producer.send_offsets_to_transaction(
                _places(transaction), transaction.metadata.opaque, _STEP_SECONDS
            )
            self._checkpoint(CommitStep.BEFORE_COMMIT)
            _until(deadline, self._producer.commit_transaction)
        except KafkaException as error:
            self._undo(error)
        self._checkpoint(CommitStep.AFTER_COMMIT)
        return self._written

    def write(self, records: Sequence[OutRecord], deadline: Deadline) -> None:
        """Write the records as one step, without any offsets.

        Raises:
            TransactionAborted: none of them counts.
            TransactionFenced: another producer has this transactional id by now.
            TransactionInDoubt: it is not known; this producer must be replaced.
        """
        self._checkpoint(CommitStep.BEFORE_BEGIN)
        try:
            self._producer.begin_transaction()
            self._produce_all(records)
            self._checkpoint(CommitStep.AFTER_PRODUCE)
            self._flush()
            self._checkpoint(CommitStep.BEFORE_COMMIT)
            _until(deadline, self._producer.commit_transaction)
        except KafkaException as error:
            self._undo(error)
        self._checkpoint(CommitStep.AFTER_COMMIT)

    def close(self, seconds: float) -> None:
        """Give the producer up; an open transaction is aborted, now or by its successor.

        Returns after so many seconds at most. The client library may take for ever where it has
        lost the transaction's coordinator, so that this is left to a thread of its own.
        """
        closing = threading.Thread(target=self._close, name="producer-close", daemon=True)
        closing.start()
        closing.join(seconds)

    def _close(self) -> None:
        try:
            with self._reports_served(), warnings.catch_warnings():
                # It warns where there is no transaction left to abort.
                warnings.simplefilter("ignore", RuntimeWarning)
                self._producer.close()
        except KafkaException as error:
            _log.info("kafka.producer_given_up", error=_reason(error))

    def _produce_all(self, records: Sequence[OutRecord]) -> None:
        """Write the records; of each partition only the last one has its offset reported.

        A report costs as much as the record. Where the key chooses the partition, each is reported.
        """
        topics = " or ".join(sorted({record.topic for record in records}))
        self._need = f"Write on the topic {topics}"
        last = {(record.topic, record.partition): record for record in records}
        for record in records:
            number = record.partition
            if number is None or last[record.topic, number] is record:
                self._produce(record, -1 if number is None else number, self._on_delivery)
            else:
                self._produce(record, number, None)

    def _produce(self, record: OutRecord, number: int, report: _Report | None) -> None:
        topic, key, value, headers = record.topic, record.key, record.value, record.headers
        while True:
            try:
                if headers:
                    self._producer.produce(topic, value, key, number, report, headers=list(headers))
                else:
                    self._producer.produce(topic, value, key, number, report)
                return
            except BufferError:
                with self._reports_served():
                    self._producer.poll(0.05)

    def _flush(self) -> None:
        """Have the records in their topics before the group's metadata is checked.

        Whoever owns the partitions next reads up to the end that it finds then: what came later,
        in a transaction that was not fenced, it would not see.
        """
        attendant = self._attendant
        with self._reports_served():
            if attendant and attendant.until(self._all_acknowledged, _ATTENDED_SECONDS):
                return
            left = self._producer.flush(_STEP_SECONDS)
        if left:
            error = KafkaError(KafkaError._TIMED_OUT, f"{left} records are not acknowledged")
            raise KafkaException(error)

    @contextmanager
    def _reports_served(self) -> Iterator[None]:
        """Raise the fatal error that the client met while it served reports, in its own words.

        The client library sets it inside of whatever report is served next. Python then calls that
        report's failure a `SystemError`, or it loses the error and says just that.
        """
        try:
            yield
        except SystemError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, KafkaException):
                cause = cause.__cause__ or cause.__context__
            if cause is not None:
                raise KafkaException(*cause.args) from error
            # A producer with a fatal error says so, instead of aborting.
            self._producer.abort_transaction(_STEP_SECONDS)
            raise KafkaException(KafkaError(KafkaError._FATAL, str(error), fatal=True)) from error

    def _all_acknowledged(self) -> bool:
        self._producer.poll(0)
        return not len(self._producer)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            self._denied = self._denied or denial(error, f"Write on the topic {topic}")
        if error is None and topic is not None and number is not None and offset is not None:
            self._written[Partition(topic, number)] = offset

    def _undo(self, error: KafkaException) -> Never:
        fault = error.args[0]
        of_topic = fault.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        need = self._need if of_topic else ""
        reason = self._denied or denial(fault, need) or _reason(error)
        if fault.code() in _FENCED:
            raise TransactionFenced(reason) from error
        if fault.fatal():
            raise TransactionInDoubt(reason) from error
        try:
            # Tried once: after a restart of the coordinator the client may not find it again, while
            # a new producer does, and aborts the transaction by its start.
            self._producer.abort_transaction(_STEP_SECONDS)
        except KafkaException as second:
            raise TransactionInDoubt(f"{reason}; then {_reason(second)}") from second
        raise TransactionAborted(reason) from error


def _places(transaction: Transaction) -> list[TopicPartition]:
    return [
        TopicPartition(p.topic, p.number, at, transaction.token)
        for p, at in transaction.offsets.items()
    ]


def _until(deadline: Deadline, step: Callable[[float], object]) -> None:
    """Call a step of the transaction again while it says that this may help."""
    while True:
        try:
            step(max(0.1, min(_STEP_SECONDS, deadline.remaining())))
            return
        except KafkaException as error:
            if not error.args[0].retriable() or deadline.expired():
                raise
            _log.warning("kafka.transaction_step_repeated", error=_reason(error))


def _reason(error: KafkaException) -> str:
    fault = error.args[0]
    return f"{fault.name()}: {fault.str()}"
