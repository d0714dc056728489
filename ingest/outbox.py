"""Hands entries to Kafka, waits for the acknowledgements, and says what became of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ingest.meters import Meters
from ingest.problems import Kind, Problem, Refused, problem, unavailable
from ingest.records import Entry
from runtime.clock import Clock
from runtime.kafka.published import Delivered, PublishError, PublishUnavailable
from runtime.kafka.records import OutRecord


class Publishing(Protocol):
    """What the API needs of a publisher; see `runtime.kafka.publisher.Publisher`."""

    @property
    def reason(self) -> str:
        """Why it is not healthy; empty while it is."""

    @property
    def fatal(self) -> bool:
        """Tell whether only a new process helps."""

    def healthy(self) -> bool:
        """Tell whether records can be expected to be acknowledged."""

    async def publish_many(self, records: Sequence[OutRecord]) -> list[Delivered | PublishError]:
        """Return what became of each record, in order."""


class Accepted(msgspec.Struct, frozen=True):
    """What a client is told about an accepted mail."""

    id: str
    status_url: str


def accepted(mail_id: str) -> Accepted:
    """Return what a client is told about this mail."""
    return Accepted(mail_id, f"/v1/emails/{mail_id}")


def publish_problem(error: PublishError) -> Problem:
    """Return what a client is told about a record that was not acknowledged."""
    kind = Kind.UNAVAILABLE if isinstance(error, PublishUnavailable) else Kind.REFUSED
    return problem(kind, str(error))


def publish_refusal(error: PublishError) -> Refused:
    """Return the refusal of a whole request whose record was not acknowledged."""
    if isinstance(error, PublishUnavailable):
        return unavailable(str(error), error.retry_after_s)
    return Refused(publish_problem(error))


@dataclass(frozen=True, slots=True)
class Outbox:
    """Publishes entries and keeps count of them."""

    publisher: Publishing
    meters: Meters
    clock: Clock

    async def put(self, entries: Sequence[Entry]) -> list[Delivered | PublishError]:
        """Return for each entry, in order, where it is or why it was not acknowledged."""
        started = self.clock.monotonic()
        outcomes = await self.publisher.publish_many([entry.record for entry in entries])
        self.meters.published(self.clock.monotonic() - started)
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Delivered):
                self.meters.accepted(entry.template)
            else:
                self.meters.unpublished(outcome.code or "unreachable")
        return outcomes
