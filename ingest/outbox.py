"""Hands entries to Kafka, waits for the acknowledgements, and says what became of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ingest.meters import Meters
from ingest.problems import Kind, Problem, Refused, problem, unavailable
from ingest.records import Entry
from runtime.clock import Clock
from runtime.kafka.pending import Publishable
from runtime.kafka.published import PublishError, PublishUnavailable, RecordTooLarge


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

    async def publish_many(self, records: Sequence[Publishable]) -> Mapping[int, PublishError]:
        """Return by its index each record that was not acknowledged, and why."""


class Accepted(msgspec.Struct, frozen=True):
    """What a client is told about an accepted mail."""

    id: str
    status_url: str


def status_url(mail_id: str) -> str:
    """Return where the status of this mail is."""
    return f"/v1/emails/{mail_id}"


def publish_problem(error: PublishError) -> Problem:
    """Return what a client is told about a record that was not acknowledged."""
    if isinstance(error, PublishUnavailable):
        return problem(Kind.UNAVAILABLE, str(error))
    if isinstance(error, RecordTooLarge):
        return problem(Kind.TOO_LARGE, "The mail's event has more bytes than its topic takes")
    return problem(Kind.REFUSED, str(error))


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

    async def put(self, entries: Sequence[Entry]) -> Mapping[int, PublishError]:
        """Return by its index each entry that was not acknowledged, and why."""
        started = self.clock.monotonic()
        failures = await self.publisher.publish_many(entries)
        self.meters.published(self.clock.monotonic() - started)
        templates = Counter(
            entry.template for index, entry in enumerate(entries) if index not in failures
        )
        for template, count in templates.items():
            self.meters.accepted(template, count)
        for failure in failures.values():
            self.meters.unpublished(failure.code or "unreachable")
        return failures
