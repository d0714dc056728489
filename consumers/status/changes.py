"""What records say, read into values; the rest of the view knows no encoding."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from consumers.status.tables import storable
from retry_topics.dlt.archive import scanned
from retry_topics.dlt.letter import LetterReader
from retry_topics.headers import GENERATION, read_journey
from retry_topics.topology import Topology
from runtime.kafka.records import Record
from schemas.codec import EventCodec
from schemas.control import ControlAction, read_command
from schemas.dlt_journal import (
    DltEntry,
    EntryKey,
    JobKey,
    Position,
    parse_key,
    read_dlt_entry,
)
from schemas.errors import Undecodable
from schemas.identity import LANE_KEY_BYTES, lane_key, mail_id
from schemas.ledger import LedgerEntry, read_entry
from schemas.outages import WorkerOutages, read_outages
from schemas.privacy import keyed_hash, mask_address
from schemas.replay_jobs import ReplayJob, read_job
from schemas.switches import Switch, Switches, SwitchKey, read_key

_UUID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record of the main topic: the mail itself, or a replay of it with a higher generation."""

    event_id: bytes
    lane: int
    mail_id: str
    tenant: str
    template: str
    accepted_at: int
    not_before: int | None
    expires_at: int | None
    recipient: str
    recipient_hash: bytes
    generation: int
    at: int


@dataclass(frozen=True, slots=True)
class Noted:
    """A record of the ledger."""

    event_id: bytes
    lane: int
    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A command that a mail be cancelled; whether it may be asked by this tenant is not checked."""

    event_id: bytes
    lane: int
    at: int
    tenant: str
    by: str


@dataclass(frozen=True, slots=True)
class OutagesTold:
    """A worker told what is out in it, or that nothing is."""

    told: WorkerOutages


@dataclass(frozen=True, slots=True)
class SwitchTurned:
    """An operator paused something; None: it is resumed."""

    key: SwitchKey
    switch: Switch | None


@dataclass(frozen=True, slots=True)
class Died:
    """A record of the dead-letter topic; `event_id` is None where it is no event."""

    position: Position
    event_id: bytes | None
    held: bool
    at: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What the journal says became of a dead-lettered record; None: nothing any more."""

    position: Position
    entry: DltEntry | None


@dataclass(frozen=True, slots=True)
class JobTold:
    """How a replay job stands; None: it is gone from the journal."""

    id: str
    job: ReplayJob | None


MailChange = Accepted | Noted | CancelAsked
LetterChange = Died | Settled | JobTold
Change = MailChange | LetterChange | OutagesTold | SwitchTurned


class ChangeReader:
    """Reads the records of the topics that the view is made from."""

    def __init__(self, topology: Topology, codec: EventCodec, hash_key: bytes, dlt_id: str) -> None:
        """`dlt_id` is the id of the dead-letter topic: its journal may tell of an earlier one."""
        self._codec = codec
        self._hash_key = hash_key
        self._dlt_id = dlt_id
        self._letters = LetterReader(codec)
        self._readers: dict[str, Callable[[Record], Change | None]] = {
            topology.main: self._accepted,
            topology.ledger: self._noted,
            topology.control: self._asked,
            topology.outages: self._told,
            topology.switches: self._turned,
            topology.dlt: self._died,
            topology.dlt_journal: self._journalled,
        }

    def read(self, record: Record) -> Change | None:
        """Return what a record says; None where that is nothing for the view.

        Raises:
            Undecodable: the record cannot be read, and never can be.
            RegistryUnavailable: the registry had to be asked and does not answer.
        """
        return self._readers[record.topic](record)

    def _accepted(self, record: Record) -> Accepted:
        if record.value is None:
            raise Undecodable("the record has no value")
        event = self._codec.decode(record.value)
        address = event.recipient.address
        key = record.key
        if key is None or len(key) != LANE_KEY_BYTES:
            key = lane_key(address)
        return Accepted(
            event_id=event.event_id.bytes,
            lane=record.partition,
            mail_id=mail_id(event.event_id, key),
            tenant=storable(event.tenant),
            template=storable(event.template),
            accepted_at=event.occurred_at,
            not_before=event.not_before,
            expires_at=event.expires_at,
            recipient=storable(mask_address(address)),
            recipient_hash=keyed_hash(self._hash_key, address),
            generation=_generation(record),
            at=record.timestamp_ms or event.occurred_at,
        )

    def _noted(self, record: Record) -> Noted | None:
        if record.value is None:
            return None
        if record.key is None or len(record.key) != _UUID_BYTES:
            raise Undecodable("the key is not an event id")
        return Noted(record.key, record.partition, read_entry(record.value))

    def _asked(self, record: Record) -> CancelAsked | None:
        command = read_command(record.value)
        if command.action is not ControlAction.CANCEL or command.event_id is None:
            return None
        try:
            event_id = UUID(command.event_id).bytes
        except ValueError as error:
            raise Undecodable("the command's event_id is not a UUID") from error
        tenant, by = storable(command.tenant), storable(command.by)
        return CancelAsked(event_id, record.partition, command.at, tenant, by)

    def _told(self, record: Record) -> OutagesTold | None:
        return None if record.value is None else OutagesTold(read_outages(record.value))

    def _turned(self, record: Record) -> SwitchTurned:
        key = read_key(record.key)
        switches = Switches().read(record.key, record.value, record.timestamp_ms)
        return SwitchTurned(key, switches.off.get(key))

    def _died(self, record: Record) -> Died:
        letter = self._letters.read(record.partition, scanned(record))
        event_id = None if letter.about is None else letter.about.event_id
        return Died(letter.position, event_id, letter.is_held, letter.at)

    def _journalled(self, record: Record) -> Settled | JobTold | None:
        value = record.value
        match parse_key(record.key):
            case EntryKey(topic_id, position) if topic_id == self._dlt_id:
                return Settled(position, None if value is None else read_dlt_entry(value))
            case JobKey(job):
                return JobTold(job, None if value is None else read_job(value))
            case _:
                return None


def _generation(record: Record) -> int:
    if not any(name == GENERATION for name, _ in record.headers):
        return 0
    return read_journey(record.headers).generation
