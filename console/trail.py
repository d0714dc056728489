"""What Kafka has of one mail: its records on every topic, its ledger, what people did about it.

Everything about a mail is in its lane, so one partition of each topic is read; the others only
where its beginning is not there, as after partitions were added. Nothing is asked of a database.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeVar

from console.operator import NamedMail
from retry_topics.dlt.archive import JOBS_LANE
from retry_topics.headers import read_journey
from retry_topics.topic_specs import orphans_of
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import Partition, Record
from runtime.kafka.sweep import Scanned, Sweep, keyed
from runtime.kafka.topics import Span
from schemas.codec import EventCodec
from schemas.control import ControlCommand, read_command
from schemas.dlt_journal import DltEntry, Position, entry_key, job_key, read_dlt_entry
from schemas.errors import RegistryUnavailable, Undecodable, UnknownSchema
from schemas.events import SignupEvent
from schemas.ledger import LedgerEntry, read_entry
from schemas.privacy import address_hash
from schemas.replay_jobs import ReplayJob, read_job
from schemas.suppressions import Suppression, read_suppression

T = TypeVar("T")

_EVENT_ID: Final = "ce_id"


class Topics(Protocol):
    """Topics to look records up in by their keys. Every call may raise a `KafkaFault`."""

    def names(self) -> Collection[str]:
        """Return the names of all topics."""

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic; one that is made anew has another."""

    def find(self, topic: str, lanes: Collection[int], keys: Collection[bytes]) -> Iterator[Record]:
        """Yield what is committed in partitions under these keys, each partition's in order."""


class KafkaTopics:
    """The topics of a cluster, perhaps from an instant on; it connects when it is used."""

    def __init__(self, properties: Properties, clock: Clock, since: int | None) -> None:
        """Records before `since`, by their timestamps, are not looked at."""
        self._properties = properties
        self._clock = clock
        self._admin = TopicAdmin(properties)
        self._since = since

    def names(self) -> Collection[str]:
        """Return the names of all topics."""
        return self._admin.names()

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        # Asked in this way an unreachable cluster is told sooner, and with the reason.
        self._admin.ping()
        return len(self._admin.spans([topic]))

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic; one that is made anew has another."""
        return self._admin.topic_ids([topic])[topic]

    def find(self, topic: str, lanes: Collection[int], keys: Collection[bytes]) -> Iterator[Record]:
        """Yield what is committed in partitions under these keys, each partition's in order."""
        # The topic of a former tier may have fewer partitions than the others have today.
        found = self._admin.spans([topic])
        spans = {at.number: span for at, span in found.items() if at.number in lanes}
        if self._since is not None:
            wanted = [Partition(topic, lane) for lane in spans]
            first = self._admin.offsets_since(wanted, self._since)
            for at in wanted:
                end = spans[at.number].end
                spans[at.number] = Span(first.get(at, end), end)
        sweep = Sweep[Scanned | None](self._properties, self._clock)
        for lane, messages in sweep.read(topic, spans, keyed(keys)):
            for message in messages:
                if message is not None:
                    yield _record(topic, lane, message)


class Told(NamedTuple):
    """An entry of the ledger, and the record that holds it."""

    record: Record
    entry: LedgerEntry


class Demanded(NamedTuple):
    """A demand about the mail or its recipient, and the record that holds it."""

    record: Record
    command: ControlCommand


class Settled(NamedTuple):
    """What became of the mail's record at a place of the dead-letter topic."""

    position: Position
    entry: DltEntry


@dataclass(slots=True)
class Trail:
    """Everything that was found. `records` are those of the mail on main, the tiers and the DLT."""

    mail: NamedMail
    records: list[Record] = field(default_factory=list)
    ledger: list[Told] = field(default_factory=list)
    demands: list[Demanded] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    jobs: dict[str, ReplayJob] = field(default_factory=dict)
    event: SignupEvent | None = None
    suppression: Suppression | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody knows the mail."""
        return not (self.records or self.ledger)

    @property
    def begins_late(self) -> bool:
        """Tell whether nothing is of the time before the first replay."""
        return all(read_journey(record.headers).generation for record in self.records)


class TrailReader:
    """Reads trails. Owned by one thread."""

    def __init__(self, topics: Topics, topology: Topology, codec: EventCodec) -> None:
        self._topics = topics
        self._topology = topology
        self._codec = codec

    def read(self, mail: NamedMail) -> Trail:
        """Return what Kafka has of a mail."""
        topology, count = self._topology, self._topics.partitions(self._topology.main)
        former = orphans_of(topology, self._topics.names())
        topics = (topology.main, *topology.retries, *former, topology.dlt)
        trail = self._in_lanes(mail, {partition_of(mail.lane_key, count)}, topics)
        if trail.begins_late and count > 1:
            trail = self._in_lanes(mail, range(count), topics)
        return trail

    def _in_lanes(self, mail: NamedMail, lanes: Collection[int], topics: Sequence[str]) -> Trail:
        trail, topology = Trail(mail), self._topology
        found = self._all(topology.ledger, lanes, {mail.event_id.bytes}, read_entry)
        trail.ledger = [Told(record, entry) for record, entry in found]
        # Within a lane they are in order; a replay goes to the lane of its day.
        trail.ledger.sort(key=lambda told: told.entry.generation)
        for topic in topics:
            records = self._topics.find(topic, lanes, {mail.lane_key})
            trail.records += (record for record in records if self._is_of(record, mail))
        if not trail.is_empty:
            trail.event = self._event(trail.records)
            self._read_people(trail, lanes)
        return trail

    def _read_people(self, trail: Trail, lanes: Collection[int]) -> None:
        """Read what was asked for about the mail, and what became of its dead letters."""
        topology, mail, event = self._topology, trail.mail, trail.event
        address = None if event is None else event.recipient.address
        for record, command in self._all(topology.control, lanes, {mail.lane_key}, read_command):
            if command.event_id == str(mail.event_id) or address == command.address is not None:
                trail.demands.append(Demanded(record, command))
        if address is not None:
            for record in self._topics.find(topology.suppressions, lanes, {address_hash(address)}):
                trail.suppression = _suppression(record.value)
        self._read_journal(trail)

    def _read_journal(self, trail: Trail) -> None:
        dlt, journal = self._topology.dlt, self._topology.dlt_journal
        dead = [Position(r.partition, r.offset) for r in trail.records if r.topic == dlt]
        if not dead:
            return
        topic_id = self._topics.topic_id(dlt)
        keys = {entry_key(topic_id, position): position for position in dead}
        lanes = {position.partition for position in dead}
        for record, entry in self._all(journal, lanes, keys.keys(), read_dlt_entry):
            trail.settled.append(Settled(keys[record.key or b""], entry))
        names = {job_key(one.entry.job) for one in trail.settled if one.entry.job}
        if names:
            for _, job in self._all(journal, {JOBS_LANE}, names, read_job):
                trail.jobs[job.id] = job

    def _all(
        self,
        topic: str,
        lanes: Collection[int],
        keys: Collection[bytes],
        read: Callable[[bytes | None], T],
    ) -> Iterator[tuple[Record, T]]:
        """Yield the records that can be read; what is of a later release is left out."""
        for record in self._topics.find(topic, lanes, keys):
            try:
                yield record, read(record.value)
            except Undecodable:
                continue

    def _is_of(self, record: Record, mail: NamedMail) -> bool:
        """Tell whether a record of a lane key is the mail's; recipients may share a key."""
        written = dict(record.headers).get(_EVENT_ID)
        if written is not None:
            return written == str(mail.event_id).encode()
        event = self._event([record])
        return event is not None and event.event_id == mail.event_id

    def _event(self, records: Sequence[Record]) -> SignupEvent | None:
        """Return the event in the newest record that can be decoded."""
        for record in reversed(records):
            try:
                return self._codec.decode(record.value or b"")
            except (Undecodable, UnknownSchema, RegistryUnavailable):
                continue
        return None


def _suppression(value: bytes | None) -> Suppression | None:
    try:
        return None if value is None else read_suppression(value)
    except Undecodable:
        return None


def _record(topic: str, lane: int, message: Scanned) -> Record:
    key, value, offset, at, headers = message
    return Record(topic, lane, offset, at, key, value, tuple(headers))
