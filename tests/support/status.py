"""What tests of the status view share: records of its topics, and the view's rows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, func, select

from consumers.status.tables import MAILS
from retry_topics.headers import GENERATION
from retry_topics.topology import Topology
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord
from schemas.codec import encode
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.events import SignupEvent
from schemas.identity import lane_key
from schemas.ledger import LedgerEntry, owner_of, write_entry
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages, write_outages


def entry(state: MailState, at: int = 0, **fields: object) -> LedgerEntry:
    """Return a ledger entry; every field can be set."""
    values: dict[str, object] = {
        "state": state,
        "generation": 0,
        "step": 0,
        "attempts": 0,
        "owner": owner_of("default"),
        "at": at,
    } | fields
    return LedgerEntry(**values)  # type: ignore[arg-type]  # keyword by keyword, as above


def accepted_record(topology: Topology, event: SignupEvent, generation: int = 0) -> OutRecord:
    """Return the record that the API, or a replay, would write."""
    headers: list[tuple[str, bytes | None]] = [("ce_id", str(event.event_id).encode())]
    if generation:
        headers.append((GENERATION, str(generation).encode()))
    key = lane_key(event.recipient.address)
    return OutRecord(topology.main, key, encode(event), tuple(headers))


def noted_record(topology: Topology, event: SignupEvent, noted: LedgerEntry) -> OutRecord:
    """Return the record that a worker would write to the ledger."""
    lane = partition_of(lane_key(event.recipient.address), topology.partitions)
    return OutRecord(topology.ledger, event.event_id.bytes, write_entry(noted), (), lane)


def cancel_record(topology: Topology, event: SignupEvent, at: int, tenant: str = "") -> OutRecord:
    """Return the record that asks for a mail's cancellation."""
    command = ControlCommand(ControlAction.CANCEL, at, str(event.event_id), tenant=tenant)
    key = lane_key(event.recipient.address)
    return OutRecord(topology.control, key, write_command(command), ())


def outages_record(topology: Topology, told: WorkerOutages) -> OutRecord:
    """Return the record by which a worker tells what is out."""
    return OutRecord(topology.outages, told.worker.encode(), write_outages(told), ())


def rows(url: str) -> dict[UUID, dict[str, Any]]:
    """Return every row of a view by its event id; recipients' hashes differ from key to key."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found: Sequence[Any] = connection.execute(select(MAILS)).all()
    finally:
        engine.dispose()
    return {UUID(bytes=row.event_id): _comparable(row) for row in found}


def count(url: str) -> int:
    """Return how many rows a view has."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(MAILS)).scalar_one()
    finally:
        engine.dispose()


def _comparable(row: Any) -> dict[str, Any]:
    values = dict(row._mapping)
    hashed = values.pop("recipient_hash")
    return {**values, "event_id": bytes(values["event_id"]), "hashed": hashed is not None}
