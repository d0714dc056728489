"""One record on its way through the engine, and what the engine reports of it."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from msgspec import Struct

from consumers.mailer.completion import Completion
from consumers.mailer.ledger.lane import LaneLedger, RecordKey
from retry_topics.headers import Journey
from runtime.kafka.records import Partition, Record
from runtime.trace_context import TraceContext, read_context
from schemas.control import read_command
from schemas.errors import Undecodable
from schemas.identity import LANE_KEY_BYTES, mail_id

_EVENT_ID: Final = "ce_id"


class Subject(Struct, frozen=True, gc=False):
    """Which mail a record is about, known once it is decoded."""

    event_id: bytes
    owner: bytes
    template: str
    tenant: str

    def key(self, journey: Journey) -> RecordKey:
        """Return which of the mail's records it is."""
        return self.event_id, journey.generation, journey.step


class Job(Struct, eq=False):
    """A record of one assignment.

    `command`: it is not a mail but a demand about one. `sending` is true from the
    moment at which a connection is at hand for the mail until the attempt's end; `withdrawn` once a
    demand has stopped it before that. `trace` is what is made of it here, where traces are made.
    """

    record: Record
    source: Partition
    epoch: int
    ledger: LaneLedger
    command: bool = False
    sending: bool = False
    withdrawn: bool = False
    subject: Subject | None = None
    trace: TraceContext | None = None

    @property
    def position(self) -> str:
        """Where its record stands, for people."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    def log_fields(self) -> dict[str, str]:
        """Return the public id of the record's mail, and the id of the trace that it is in."""
        trace = self.trace or read_context(self.record.headers)
        fields = {} if trace is None else {"trace_id": trace.trace_id}
        event_id, key = self._event_id(), self.record.key
        if event_id is not None and key is not None and len(key) == LANE_KEY_BYTES:
            fields["mail_id"] = mail_id(event_id, key)
        return fields

    def _event_id(self) -> UUID | None:
        if self.subject is not None:
            return UUID(bytes=self.subject.event_id)
        try:
            if self.command:
                return UUID(read_command(self.record.value).event_id or "")
            return UUID((dict(self.record.headers).get(_EVENT_ID) or b"").decode())
        except (Undecodable, ValueError):
            return None


class Finished(Struct, frozen=True):
    """The record's work is done; its completion waits to be committed."""

    job: Job
    completion: Completion


class Intended(Struct, frozen=True):
    """The record's work goes on once this is committed; `committed` is called from any thread."""

    job: Job
    completion: Completion
    committed: Callable[[], None]


class Dropped(Struct, frozen=True):
    """The record was given up before it was sent; it stays where it is in Kafka."""

    job: Job


Report = Finished | Intended | Dropped
