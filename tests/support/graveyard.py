"""A dead-letter topic full of mails, with the ledger's word on each, and what a test asks of it."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

from msgspec import structs

from retry_topics.dlt.desk import Desk, Operator
from retry_topics.dlt.opening import open_desk
from retry_topics.dlt.operators import new_job_id
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from retry_topics.headers import REPLAY_OF
from retry_topics.policy import DeadReason
from retry_topics.topology import Topology
from runtime.clock import Clock, SystemClock
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord, Record
from runtime.settings import load_settings
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import EventCodec
from schemas.events import SignupEvent
from schemas.identity import lane_key
from schemas.ledger import LedgerEntry, owner_of, write_entry
from schemas.mail_states import MailState
from tests.support.letters import dead_record, journey_of
from tests.support.mailer import Kafka, signup, worker_environ


@dataclass(frozen=True)
class Death:
    """A way to die: the failures before it, the reason, and whether the value is an event."""

    failures: Sequence[Failure]
    reason: str = DeadReason.REFUSED
    template: str = "signup-confirmation"
    undecodable: bool = False


def _refused(code: int, enhanced: str, rule: str) -> Failure:
    kind = FailureClass.PERMANENT if code >= 500 else FailureClass.TRANSIENT
    text = f"{code} {enhanced} <{{1}}>: queue id {{0}}"
    return Failure(Scope.RECIPIENT, kind, Phase.RCPT, text, rule, code, enhanced)


#: Five causes; the first is the one that is fixed and replayed.
CAUSES = {
    "policy": Death([_refused(550, "5.7.1", "policy")]),
    "unknown": Death([_refused(550, "5.1.1", "no-such-user")]),
    "greylisted": Death([_refused(451, "4.7.1", "greylisted")] * 4, DeadReason.EXHAUSTED),
    "template": Death([], DeadReason.UNKNOWN_TEMPLATE, "gone"),
    "junk": Death([], DeadReason.UNDECODABLE, undecodable=True),
}


@dataclass(frozen=True)
class Grave:
    """One dead mail, and the name of what it died of."""

    event: SignupEvent
    cause: str
    journey_generation: int = 0


class Graveyard:
    """The dead mails of one topology."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self.topology = kafka.topology

    def bury(
        self,
        causes: Iterable[str],
        state: MailState | None = MailState.DEAD,
        event: Callable[[int], SignupEvent] | None = None,
    ) -> list[Grave]:
        """Write a dead mail for each of these causes, and the ledger's word on it, if any."""
        make = event or (lambda number: signup(f"user-{uuid4().hex[:12]}@example.com"))
        graves = [Grave(self._event(cause, make(n)), cause) for n, cause in enumerate(causes)]
        records = []
        for grave in graves:
            records.append(self._dead(grave))
            if state is not None and not CAUSES[grave.cause].undecodable:
                records.append(self.ledger(grave.event, state))
        self.kafka.write(records)
        return graves

    def ledger(self, event: SignupEvent, state: MailState, generation: int = 0) -> OutRecord:
        """Return what the ledger would say of a mail."""
        entry = LedgerEntry(state, generation, 1, 1, owner_of(event.tenant), 5)
        return OutRecord(
            self.topology.ledger, event.event_id.bytes, write_entry(entry), (), self.lane(event)
        )

    def lane(self, event: SignupEvent) -> int:
        """Return the lane of a mail."""
        return partition_of(lane_key(event.recipient.address), self.topology.partitions)

    def replayed(self) -> list[Record]:
        """Return what was replayed to the main topic."""
        return [
            record
            for record in self.kafka.read(self.topology.main)
            if any(name == REPLAY_OF for name, _ in record.headers)
        ]

    def replayed_ids(self) -> Counter[UUID]:
        """Return how often each mail was replayed."""
        codec = EventCodec(None)
        return Counter(codec.decode(record.value or b"").event_id for record in self.replayed())

    def environ(self) -> dict[str, str]:
        """Return the environment in which commands mean this topology."""
        return worker_environ(self.kafka, "smtp://127.0.0.1:1", Path("/nonexistent"))

    @contextmanager
    def desk(
        self, process: str = "", gone: Iterable[str] = (), clock: Clock | None = None
    ) -> Iterator[Desk]:
        """Yield a desk of an operator; `gone` are processes that it takes for dead."""
        dead = frozenset(gone)
        operator = Operator("ada", process or uuid4().hex, dead.__contains__, new_job_id)
        environ = {k: v for k, v in self.environ().items() if k not in os.environ or "MAIL" in k}
        settings = load_settings({"HOME": "/root", **environ})
        catalogue = Catalogue.load(DEFAULT_DIRECTORY)
        yield open_desk(settings, EventCodec(None), catalogue, clock or SystemClock(), operator)

    def _event(self, cause: str, event: SignupEvent) -> SignupEvent:
        death = CAUSES[cause]
        return (
            structs.replace(event, template=death.template) if death.template == "gone" else event
        )

    def _dead(self, grave: Grave) -> OutRecord:
        death = CAUSES[grave.cause]
        now = SystemClock().now_ms()
        address = grave.event.recipient.address
        failures = [
            replace(failure, text=failure.text.format(uuid4().hex[:10], address))
            for failure in death.failures
        ]
        journey = journey_of(failures, death.reason, now, grave.journey_generation)
        value = b"\xffjunk" if death.undecodable else None
        return dead_record(self.topology.dlt, grave.event, journey, self.topology.partitions, value)


def graveyard(bootstrap: str, topology: Topology) -> Graveyard:
    """Return the graveyard of a topology."""
    return Graveyard(Kafka(bootstrap, topology))
