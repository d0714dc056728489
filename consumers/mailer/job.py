"""One record on its way through the engine, and what the engine reports of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from consumers.mailer.completion import Completion
from consumers.mailer.ledger.lane import LaneLedger, RecordKey
from retry_topics.headers import Journey
from runtime.kafka.records import Partition, Record


class Subject(NamedTuple):
    """Which mail a record is about, known once it is decoded."""

    event_id: bytes
    owner: bytes
    template: str
    tenant: str

    def key(self, journey: Journey) -> RecordKey:
        """Return which of the mail's records it is."""
        return self.event_id, journey.generation, journey.step


@dataclass(slots=True, eq=False)
class Job:
    """A record of one assignment.

    `command`: it is not a mail but a demand about one. `sending` is true from the
    moment at which a connection is at hand for the mail until the attempt's end; `withdrawn` once a
    demand has stopped it before that.
    """

    record: Record
    source: Partition
    epoch: int
    ledger: LaneLedger
    command: bool = False
    sending: bool = False
    withdrawn: bool = False
    subject: Subject | None = None


class Finished(NamedTuple):
    """The record's work is done; its completion waits to be committed."""

    job: Job
    completion: Completion


class Intended(NamedTuple):
    """The record's work goes on once this is committed; `committed` is called from any thread."""

    job: Job
    completion: Completion
    committed: Callable[[], None]


class Dropped(NamedTuple):
    """The record was given up before it was sent; it stays where it is in Kafka."""

    job: Job


Report = Finished | Intended | Dropped
