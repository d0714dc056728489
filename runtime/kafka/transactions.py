"""One Kafka transaction of forwards and offsets, with an answer to the only question: did it count?

A failed transaction either did nothing (`TransactionAborted`, repeat it) or its end is not known
from here (`TransactionInDoubt`): then a new producer with the same transactional id settles it on
the broker, and the group's committed offsets tell what it was, because they were part of it.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from confluent_kafka import KafkaException, Producer, TopicPartition

from runtime.clock import Deadline
from runtime.kafka.client import Properties, client_logger
from runtime.kafka.consumer import GroupMetadata
from runtime.kafka.errors import KafkaFault
from runtime.kafka.records import OutRecord, Partition
from runtime.logs import get_logger

_log = get_logger("kafka.transactions")

#: One call's patience; a transient failure is repeated until the caller's deadline.
_STEP_SECONDS: Final = 5.0


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


def transaction_properties(base: Properties, transactional_id: str) -> Properties:
    """Return the properties of a transactional producer on top of the client's."""
    own: Properties = {
        # With the default of 100 ms each transaction waits that long for the markers of the last.
        "retry.backoff.ms": 5,
        "transaction.timeout.ms": 10_000,
        "linger.ms": 0,
        # Topics limit what they take; the client must not refuse what the largest of them takes.
        "message.max.bytes": 4_194_304,
        "compression.type": "lz4",
    }
    return own | dict(base) | {"transactional.id": transactional_id, "acks": "all"}


class TransactionalProducer:
    """A producer whose every record is part of a transaction. Owned by one thread."""

    def __init__(self, properties: Properties, checkpoint: Callable[[CommitStep], None]) -> None:
        """Create the producer; `checkpoint` is called at each step, for tests of crashes."""
        self._producer = Producer(dict(properties), logger=client_logger())
        self._checkpoint = checkpoint

    def initialise(self, deadline: Deadline) -> None:
        """Fence earlier producers of this transactional id and settle their open transaction.

        Raises:
            KafkaFault: the broker did not answer before the deadline.
        """
        try:
            _until(deadline, self._producer.init_transactions)
        except KafkaException as error:
            raise KafkaFault(f"transactions cannot begin: {_reason(error)}") from error

    def commit(
        self,
        records: Sequence[OutRecord],
        offsets: Mapping[Partition, int],
        metadata: GroupMetadata,
        deadline: Deadline,
    ) -> None:
        """Write the records and commit the offsets (next to read) as one step.

        Raises:
            TransactionAborted: none of it happened.
            TransactionInDoubt: it is not known; this producer must be replaced.
        """
        self._checkpoint(CommitStep.BEFORE_BEGIN)
        try:
            self._producer.begin_transaction()
            for record in records:
                self._produce(record)
            self._checkpoint(CommitStep.AFTER_PRODUCE)
            places = [TopicPartition(p.topic, p.number, at) for p, at in offsets.items()]
            # Not repeated after a time-out: the client would wait for its first call for ever.
            self._producer.send_offsets_to_transaction(places, metadata.opaque, _STEP_SECONDS)
            self._checkpoint(CommitStep.BEFORE_COMMIT)
            _until(deadline, self._producer.commit_transaction)
        except KafkaException as error:
            self._undo(error, deadline)
        self._checkpoint(CommitStep.AFTER_COMMIT)

    def close(self) -> None:
        """Give the producer up; an open transaction is aborted, now or by its successor."""
        try:
            self._producer.close()
        except KafkaException as error:
            _log.info("kafka.producer_given_up", error=_reason(error))

    def _produce(self, record: OutRecord) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    partition=-1 if record.partition is None else record.partition,
                    headers=list(record.headers),
                )
                return
            except BufferError:
                self._producer.poll(0.05)

    def _undo(self, error: KafkaException, deadline: Deadline) -> None:
        reason = _reason(error)
        fault = error.args[0]
        if fault.fatal():
            raise TransactionInDoubt(reason) from error
        try:
            _until(deadline, self._producer.abort_transaction)
        except KafkaException as second:
            raise TransactionInDoubt(f"{reason}; then {_reason(second)}") from second
        raise TransactionAborted(reason) from error


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
