"""The records by which the journal of the dead-letter topic changes, and who may write them.

Two rules keep operators from replaying a record twice:

* Claims and discards are written by the one producer with the transactional id `claims_id`. Whoever
  gets it fences whoever had it, reads each lane's journal up to its end, and only then writes. So
  what is claimed was nobody else's, and no two claims hold the same record.
* What a job has claimed, only the producer with the job's transactional id replays: a record on the
  main topic and its entry in the journal are one transaction. Whoever takes a job over fences the
  one before, and goes on with what has no entry.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from retry_topics.dlt.archive import JOBS_LANE
from retry_topics.topology import Topology
from runtime.clock import Clock, Deadline
from runtime.kafka.errors import KafkaFault
from runtime.kafka.records import OutRecord
from runtime.kafka.transactions import TransactionAborted
from schemas.dlt_journal import (
    Claim,
    DltEntry,
    Position,
    claim_key,
    entry_key,
    job_key,
    write_claim,
    write_dlt_entry,
)
from schemas.dlt_rows import Rows, rows_key, write_rows
from schemas.replay_jobs import ReplayJob, write_job

#: Records that one claim holds at most; what it takes is some bytes for each.
MOST_CLAIMED: Final = 20_000
#: How long a transaction is tried, and a producer given up, in seconds.
_PATIENCE: Final = 30.0
_CLOSE_SECONDS: Final = 5.0


def claims_id(topology: Topology) -> str:
    """Return the transactional id of whoever claims or discards records at the moment."""
    return f"dlt-claims.{topology.prefix}"


def job_transactions_id(topology: Topology, job: str) -> str:
    """Return the transactional id of whoever runs a job."""
    return f"dlt-replay.{topology.prefix}.{job}"


class Scribe:
    """Makes the journal's records for one dead-letter topic."""

    def __init__(self, topology: Topology, topic_id: str) -> None:
        self._topic = topology.dlt_journal
        self.topic_id = topic_id

    def entry(self, position: Position, entry: DltEntry) -> OutRecord:
        """Return what says what became of a record."""
        key = entry_key(self.topic_id, position)
        return OutRecord(self._topic, key, write_dlt_entry(entry), (), position.partition)

    def job(self, job: ReplayJob) -> OutRecord:
        """Return what says how a job stands."""
        return OutRecord(self._topic, job_key(job.id), write_job(job), (), JOBS_LANE)

    def claims(self, job: str, partition: int, offsets: Sequence[int]) -> Iterator[OutRecord]:
        """Yield what makes ascending offsets of a partition a job's."""
        for number, start in enumerate(range(0, len(offsets), MOST_CLAIMED)):
            claim = Claim(job, self.topic_id, offsets[start : start + MOST_CLAIMED])
            key = claim_key(job, partition, number)
            yield OutRecord(self._topic, key, write_claim(claim), (), partition)

    def rows(self, rows: Rows, partition: int, number: int) -> OutRecord:
        """Return what says which records of a partition a job replays, and as what."""
        key = rows_key(rows.job, partition, number)
        return OutRecord(self._topic, key, write_rows(rows), (), partition)

    def release(self, key: bytes, partition: int) -> OutRecord:
        """Return what takes back a claim, or rows."""
        return OutRecord(self._topic, key, None, (), partition)


class Transactions(Protocol):
    """A transactional producer (see `runtime.kafka.transactions.TransactionalProducer`)."""

    def initialise(self, deadline: Deadline) -> None:
        """Fence earlier producers of this transactional id."""

    def write(self, records: Sequence[OutRecord], deadline: Deadline) -> None:
        """Write the records as one step."""

    def close(self, seconds: float) -> None:
        """Give the producer up."""


#: Makes a producer with a transactional id.
MakeTransactions = Callable[[str], Transactions]


class Pen:
    """Writes in one transactional id's name, until somebody else takes it. Owned by one thread."""

    def __init__(self, make: MakeTransactions, transactional_id: str, clock: Clock) -> None:
        self._make = make
        self._id = transactional_id
        self._clock = clock
        self._producer: Transactions | None = None

    def take(self) -> None:
        """Take the id from whoever has it; what it had not committed by then never counts.

        Raises:
            KafkaFault: the brokers do not answer in time.
        """
        self.put_down()
        producer = self._make(self._id)
        self._producer = producer
        producer.initialise(Deadline(self._clock, _PATIENCE))

    def write(self, records: Sequence[OutRecord]) -> None:
        """Write the records as one step; tried again while the broker says that none counts.

        Raises:
            TransactionFenced: somebody else has taken the id, or the broker has given us up.
            TransactionInDoubt: it is not known whether they count: take the pen again, and read.
            KafkaFault: it cannot be done.
        """
        if self._producer is None:
            raise KafkaFault("the pen was put down")
        deadline = Deadline(self._clock, _PATIENCE)
        while True:
            try:
                self._producer.write(records, deadline)
                return
            except TransactionAborted:
                if deadline.expired():
                    raise

    def put_down(self) -> None:
        """Give the id up; nothing happens where it is not held."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(_CLOSE_SECONDS)
