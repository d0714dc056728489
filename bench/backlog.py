"""A backlog of mails on the main topic, and how fast the group commits it."""

import time
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.pipeline import PARTITIONS, BenchFailed, Pipeline
from bench.process import cpu_seconds, peak_mib
from console.stack.children import Child
from runtime.clock import Deadline, SystemClock
from runtime.kafka.records import OutRecord
from schemas.codec import encode
from schemas.events import Recipient, SignupEvent
from schemas.identity import lane_key

_DRAIN_SECONDS: Final = 300.0
_FLUSH_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05
_HEADERS: Final = (
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/mailcascade/ingest/default"),
    ("ce_type", b"com.mailcascade.email.requested.v1"),
    ("ce_time", b"2026-01-01T00:00:00.000Z"),
    ("content-type", b"application/avro"),
)


class Drained(NamedTuple):
    """What happened between the first commit that was seen and the last one."""

    mails: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


class Backlog:
    """Writes mails to the main topic and watches, from outside, how the group commits them."""

    def __init__(self, pipeline: Pipeline, workers: Sequence[Child]) -> None:
        self._pipeline = pipeline
        self._pids = [worker.pid for worker in workers]
        # Kafka ends before this client does, which is nothing to complain of.
        self._admin = AdminClient({**pipeline.properties, "log_level": 0})
        self._written = 0

    def drain(self, mails: int) -> Drained:
        """Write so many mails and return when all are committed."""
        before = self._written
        self.write(mails)
        first = self._await(before + 1)
        last = self._await(self._written)
        return Drained(
            last.committed - first.committed,
            last.at - first.at,
            last.cpu_seconds - first.cpu_seconds,
            max(peak_mib(pid) for pid in self._pids),
        )

    def write(self, mails: int) -> None:
        """Write so many mails, each to a recipient of its own."""
        records = [self._record(self._written + number) for number in range(mails)]
        producer = Producer({**self._pipeline.properties, "partitioner": "murmur2_random"})
        for record in records:
            producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        left = producer.flush(_FLUSH_SECONDS)
        producer.close()
        if left:
            raise BenchFailed(f"Kafka did not take {left} of {len(records)} mails")
        self._written += mails

    def settle(self) -> None:
        """Return when everything that was written is committed."""
        self._await(self._written)

    def _await(self, committed: int) -> "_Look":
        deadline = Deadline(SystemClock(), _DRAIN_SECONDS)
        while (look := self._look()).committed < committed:
            self._pipeline.check()
            if deadline.expired():
                raise BenchFailed(f"{look.committed} of {self._written} mails are committed")
            time.sleep(_LOOK_SECONDS)
        return look

    def _look(self) -> "_Look":
        """Add up the committed offsets; no transaction writes to the main topic, so they count."""
        main = self._pipeline.topology.main
        group = self._pipeline.topology.group
        places = [TopicPartition(main, number) for number in range(PARTITIONS)]
        asked = ConsumerGroupTopicPartitions(group, places)
        answer = self._admin.list_consumer_group_offsets([asked])[group].result(10.0)
        committed = sum(max(0, place.offset) for place in answer.topic_partitions or ())
        return _Look(time.monotonic(), committed, sum(map(cpu_seconds, self._pids)))

    def _record(self, number: int) -> OutRecord:
        """Return a record with as many headers as the API writes."""
        event = signup(f"person{number}@example{number % 50}.com")
        headers = (*_HEADERS, ("ce_id", str(event.event_id).encode()))
        key = lane_key(event.recipient.address)
        return OutRecord(self._pipeline.topology.main, key, encode(event), headers)


class _Look(NamedTuple):
    at: float
    committed: int
    cpu_seconds: float


def signup(address: str, tenant: str = "default") -> SignupEvent:
    """Return a signup event to an address."""
    return SignupEvent(
        event_id=uuid.uuid4(),
        occurred_at=SystemClock().now_ms(),
        template="signup-confirmation",
        recipient=Recipient(address, "Ada Lovelace"),
        locale="en",
        data={"confirm_url": "https://app.example.com/confirm?token=0123456789abcdef"},
        tenant=tenant,
    )
