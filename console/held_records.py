"""Held mails as Kafka has them: a record on the dead-letter topic, and the ledger's last word.

Whether a mail is still held is the ledger's to say. It forgets a mail after days, long before the
dead-letter topic does.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from console.cluster import Cluster
from retry_topics.headers import Journey, read_journey
from retry_topics.topology import Topology
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import Record
from schemas.errors import Undecodable
from schemas.identity import LANE_KEY_BYTES, mail_id
from schemas.ledger import Standing, peek
from schemas.mail_states import MailState

#: The reason on the dead-letter topic of a mail that waits for a person.
HELD: Final = "held"
_EVENT_ID: Final = "ce_id"


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A mail's newest record on the dead-letter topic that says held; `standing` by the ledger."""

    event_id: UUID
    mail_id: str
    record: Record
    journey: Journey
    standing: Standing | None = None

    @property
    def state(self) -> MailState | None:
        """What the mail is by the ledger; None where the ledger has forgotten it."""
        return None if self.standing is None else self.standing.state

    @property
    def next_generation(self) -> int:
        """One more than any that the mail had."""
        known = 0 if self.standing is None else self.standing.generation
        return max(self.journey.generation, known) + 1


def find_held(
    cluster: Cluster, topology: Topology, wanted: Collection[tuple[UUID, bytes]] | None = None
) -> dict[UUID, HeldRecord]:
    """Return the mails that are or were held; with `wanted` (ids, lane keys) only those.

    Each wanted mail is looked for in its lane; the other lanes are read only where one is not
    there, which happens after partitions were added.
    """
    everywhere = None if wanted is None else {event_id for event_id, _ in wanted}
    if wanted is None or everywhere is None:
        found = held_records(cluster.records(topology.dlt))
    else:
        partitions = cluster.partitions(topology.dlt)
        lanes = {partition_of(key, partitions) for _, key in wanted}
        found = held_records(cluster.records(topology.dlt, lanes), everywhere)
        if everywhere - found.keys():
            others = set(range(partitions)) - lanes
            found |= held_records(cluster.records(topology.dlt, others), everywhere)
    return _with_standings(cluster, topology, found)


def held_records(
    records: Iterable[Record], wanted: Collection[UUID] | None = None
) -> dict[UUID, HeldRecord]:
    """Return the newest record of each held mail among those of the dead-letter topic."""
    found: dict[UUID, HeldRecord] = {}
    for record in records:
        held = _held(record)
        if held is None or (wanted is not None and held.event_id not in wanted):
            continue
        before = found.get(held.event_id)
        if before is None or before.journey.generation <= held.journey.generation:
            found[held.event_id] = held
    return found


def last_standings(records: Iterable[Record], wanted: Collection[UUID]) -> dict[UUID, Standing]:
    """Return the ledger's last word on each of these mails.

    Within a partition the later entry counts, between partitions the higher generation and step.
    """
    ids = {event_id.bytes: event_id for event_id in wanted}
    by_place: dict[tuple[UUID, int], Standing] = {}
    for record in records:
        event_id = ids.get(record.key or b"")
        if event_id is None or record.value is None:
            continue
        try:
            by_place[event_id, record.partition] = peek(record.value)
        except Undecodable:
            continue
    found: dict[UUID, Standing] = {}
    for (event_id, _), standing in by_place.items():
        before = found.get(event_id)
        if before is None or _place(before) < _place(standing):
            found[event_id] = standing
    return found


def _with_standings(
    cluster: Cluster, topology: Topology, found: dict[UUID, HeldRecord]
) -> dict[UUID, HeldRecord]:
    if not found:
        return {}
    partitions = cluster.partitions(topology.ledger)
    lanes = {held.record.partition for held in found.values()}
    lanes |= {partition_of(held.record.key or b"", partitions) for held in found.values()}
    standings = last_standings(cluster.records(topology.ledger, lanes), found.keys())
    return {
        event_id: HeldRecord(
            event_id, held.mail_id, held.record, held.journey, standings.get(event_id)
        )
        for event_id, held in found.items()
    }


def _held(record: Record) -> HeldRecord | None:
    key = record.key
    journey = read_journey(record.headers)
    if journey.death is None or journey.death.reason != HELD:
        return None
    if key is None or len(key) != LANE_KEY_BYTES:
        return None
    written = dict(record.headers).get(_EVENT_ID) or b""
    try:
        event_id = UUID(written.decode())
    except ValueError:
        return None
    return HeldRecord(event_id, mail_id(event_id, key), record, journey)


def _place(standing: Standing) -> tuple[int, int]:
    return standing.generation, standing.step
