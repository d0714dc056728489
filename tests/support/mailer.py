"""Workers as a test wants them: real processes, real records, and what Kafka holds afterwards."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from console.stack.children import Child, ChildSpec
from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties
from runtime.kafka.groups import GroupReader
from runtime.kafka.reader import TopicReader
from runtime.kafka.records import OutRecord, Partition, Record
from schemas.codec import EventCodec, encode
from schemas.events import Recipient, SignupEvent
from schemas.identity import lane_key
from schemas.ledger import LedgerEntry, Standing, read_entry, standing_of
from tests.support.wait import wait_until


def signup(address: str, **fields: object) -> SignupEvent:
    """Return a signup event to an address; every field can be set."""
    values: dict[str, object] = {
        "event_id": uuid4(),
        "occurred_at": SystemClock().now_ms(),
        "template": "signup-confirmation",
        "recipient": Recipient(address),
        "locale": "en",
        "data": {"confirm_url": "https://example.com/confirm/abc"},
        "tenant": "default",
    } | fields
    return SignupEvent(**values)  # type: ignore[arg-type]  # keyword by keyword, as above


def record_of_event(topology: Topology, event: SignupEvent) -> OutRecord:
    """Return the record that the API would write for an event."""
    headers = (("ce_id", str(event.event_id).encode()), ("x-kept", b"yes"))
    return OutRecord(topology.main, lane_key(event.recipient.address), encode(event), headers)


def event_of(record: Record) -> SignupEvent:
    """Return the event in a record that `record_of_event` made, wherever it has gone since."""
    return EventCodec(None).decode(record.value or b"")


class Kafka:
    """One topology on one broker, from outside: write records, read what is there."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self.bootstrap = bootstrap
        self.topology = topology
        self._properties: Properties = {"bootstrap.servers": bootstrap}
        self._admin = TopicAdmin(self._properties)
        # A killed worker's transaction has to be ended by the broker first.
        self._group = GroupReader(self._properties, topology.group, 40.0)

    def write(self, records: Iterable[OutRecord]) -> None:
        """Write records and wait until the broker has them."""
        producer = Producer({**self._properties, "partitioner": "murmur2_random", "linger.ms": 2})
        for record in records:
            producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                partition=-1 if record.partition is None else record.partition,
                headers=list(record.headers),
            )
        assert producer.flush(30) == 0
        producer.close()

    def post(self, events: Iterable[SignupEvent]) -> None:
        """Write events as the API would."""
        self.write(record_of_event(self.topology, event) for event in events)

    def read(self, topic: str) -> list[Record]:
        """Return every committed record of a topic."""
        reader = TopicReader(self._properties, SystemClock())
        return list(reader.read(self._admin.spans([topic])))

    def committed(self) -> dict[Partition, int]:
        """Return the group's committed offsets."""
        topics = self.topology.consumed
        partitions = [Partition(t, n) for t in topics for n in range(self.topology.partitions)]
        return self._group.committed(partitions)

    def forget_offsets(self) -> None:
        """Make the group begin from the beginning; it must have no member."""
        admin = AdminClient(dict(self._properties))

        def deleted() -> bool:
            future = admin.delete_consumer_groups([self.topology.group])[self.topology.group]
            try:
                future.result(10)
            except KafkaException as error:
                return bool(error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)
            return True

        wait_until(deleted, 30, "the group to be empty")

    def entries(self) -> list[tuple[UUID, LedgerEntry]]:
        """Return every committed entry of the ledger, each lane's in order."""
        ledger = self.read(self.topology.ledger)
        return [(UUID(bytes=record.key), read_entry(record.value)) for record in ledger]

    def standings(self) -> dict[bytes, Standing]:
        """Return how each mail stands by the ledger, by its event id's bytes."""
        return {event_id.bytes: standing_of(entry) for event_id, entry in self.entries()}

    def lag(self) -> int:
        """Count the offsets between what is committed and the end, over all consumed topics."""
        committed = self.committed()
        spans = self._admin.spans(self.topology.consumed)
        return sum(span.end - committed.get(p, span.start) for p, span in spans.items())


def worker_environ(
    kafka: Kafka, smtp_url: str, state_dir: Path, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a worker of this topology."""
    topology = kafka.topology
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MAILCASCADE")},
        "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "MAILCASCADE_TOPIC_PREFIX": topology.prefix,
        "MAILCASCADE_PARTITIONS": str(topology.partitions),
        "MAILCASCADE_TIERS": ",".join(tier.label for tier in topology.tiers),
        "MAILCASCADE_SMTP_URL": smtp_url,
        "MAILCASCADE_STATE_DIR": str(state_dir),
        "MAILCASCADE_MAIL_FROM": "Example <no-reply@example.com>",
        "MAILCASCADE_DRAIN_SECONDS": "10",
        **(overrides or {}),
    }


def start_worker(
    environ: Mapping[str, str], log: Path, command: Sequence[str] = ("-m", "console", "worker")
) -> Child:
    """Start a worker process; a context manager that stops it."""
    return Child(ChildSpec("worker", [sys.executable, *command], log, environ))
