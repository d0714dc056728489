"""One record on its way through the engine, and what the engine reports of it."""

from dataclasses import dataclass

from consumers.mailer.completion import Completion
from runtime.kafka.records import Partition, Record


@dataclass(slots=True, eq=False)
class Job:
    """A record of one assignment. `sending` is true while the relay may be taking the mail."""

    record: Record
    source: Partition
    epoch: int
    sending: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The record's work is done; its completion waits to be committed."""

    job: Job
    completion: Completion


@dataclass(frozen=True, slots=True)
class Dropped:
    """The record was given up before it was sent; it stays where it is in Kafka."""

    job: Job


Report = Finished | Dropped
