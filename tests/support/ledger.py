"""Ledger partitions to restore from: written as workers write them, in transactions."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from confluent_kafka import Producer

from consumers.mailer.ledger.catch_up import RestorerParts
from consumers.mailer.ledger.restore import RestoreFailed, Restorer, Ticket
from consumers.mailer.ledger.store import LaneStore, StorePlace
from retry_topics.topology import Topology
from runtime.clock import Clock, SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.bulk import BulkReader
from runtime.kafka.client import Properties
from schemas.ledger import LedgerEntry, Standing, owner_of, standing_of, write_entry
from schemas.mail_states import MailState
from schemas.suppressions import Suppression, write_suppression

BOOT_ID: Final = "this-boot"
Entries = Sequence[tuple[bytes, LedgerEntry]]


def entry(state: MailState = MailState.SENT, step: int = 0, generation: int = 0) -> LedgerEntry:
    """Return an entry as a worker writes it."""
    return LedgerEntry(
        state=state,
        generation=generation,
        step=step,
        attempts=step + 1,
        owner=owner_of("acme"),
        at=1_800_000_000_000,
        template="signup-confirmation",
        tenant="acme",
        worker="host-0",
        text="250 2.0.0 Ok: queued as 4F6B21A0C3",
    )


def event_id() -> bytes:
    """Return a fresh event id."""
    return uuid.uuid4().bytes


def replayed(entries: Entries) -> dict[bytes, Standing]:
    """Return what a store must know after these entries."""
    return {key: standing_of(value) for key, value in entries}


class LaneWriter:
    """Writes one lane's ledger and suppressions in transactions."""

    def __init__(self, bootstrap: str, topology: Topology, lane: int) -> None:
        self._topology = topology
        self._lane = lane
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": f"{topology.prefix}-{uuid.uuid4().hex}",
                "transaction.timeout.ms": 10_000,
                "linger.ms": 5,
            }
        )
        self.producer.init_transactions(30)

    def begin(self, entries: Entries) -> None:
        """Write entries and leave their transaction open."""
        self.producer.begin_transaction()
        self._produce(self._topology.ledger, ((k, write_entry(e)) for k, e in entries))

    def commit(self, entries: Entries) -> None:
        """Write entries in one transaction."""
        self.begin(entries)
        self.producer.commit_transaction(30)

    def abort(self, entries: Entries) -> None:
        """Write entries in a transaction that is then aborted."""
        self.begin(entries)
        self.producer.abort_transaction(30)

    def raw(self, topic: str, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write records as they are in one transaction."""
        self.producer.begin_transaction()
        self._produce(topic, records)
        self.producer.commit_transaction(30)

    def suppress(self, address_hash: bytes, suppressed: bool = True) -> None:
        """Suppress a recipient, or lift its suppression."""
        value = write_suppression(Suppression(b"lane", "a***@example.com", 1))
        self.raw(self._topology.suppressions, [(address_hash, value if suppressed else None)])

    def _produce(self, topic: str, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in records:
            while True:
                try:
                    self.producer.produce(topic, value, key, partition=self._lane)
                    break
                except BufferError:
                    self.producer.poll(0.1)
        self.producer.flush(60)


class Handed:
    """Takes what a restore hands over."""

    def __init__(self) -> None:
        self._done = Event()
        self.result: LaneStore | RestoreFailed | None = None

    def __call__(self, result: LaneStore | RestoreFailed) -> None:
        self.result = result
        self._done.set()

    @property
    def done(self) -> bool:
        """Tell whether something was handed over."""
        return self._done.is_set()

    def store(self, seconds: float = 60.0) -> LaneStore:
        """Wait for the store."""
        assert self._done.wait(seconds), f"nothing was handed over within {seconds:g} s"
        assert isinstance(self.result, LaneStore), self.result
        return self.result


class Host:
    """One host's restorer with its state directory."""

    def __init__(
        self,
        bootstrap: str,
        topology: Topology,
        state_dir: Path,
        *,
        clock: Clock | None = None,
        boot_id: str = BOOT_ID,
        patience_seconds: float = 60.0,
    ) -> None:
        clock = clock or SystemClock()
        properties: Properties = {
            "bootstrap.servers": bootstrap,
            "metadata.recovery.strategy": "none",
        }
        self.restorer = Restorer(
            RestorerParts(
                topology=topology,
                cluster=TopicAdmin(properties),
                reader=BulkReader(properties, clock, patience_seconds),
                place=StorePlace(state_dir, wait_seconds=0.5),
                boot_id=boot_id,
                clock=clock,
                restored=lambda seconds, entries: None,
            )
        )

    def begin(self, lane: int) -> tuple[Ticket, Handed]:
        """Ask for a lane."""
        handed = Handed()
        return self.restorer.restore(lane, handed), handed

    @contextmanager
    def restored(self, lane: int, seconds: float = 60.0) -> Iterator[LaneStore]:
        """Restore a lane; its store is closed in the end."""
        _, handed = self.begin(lane)
        store = handed.store(seconds)
        try:
            yield store
        finally:
            store.close()

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.restorer.close(30), "the restorer's thread did not end"
