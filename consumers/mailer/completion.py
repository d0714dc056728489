"""Everything that the end of one record causes, to be made durable in one transaction."""

from dataclasses import dataclass
from enum import StrEnum

from runtime.kafka.records import OutRecord, Partition


class Ending(StrEnum):
    """How a record ended in this worker."""

    SENT = "sent"
    RETRY = "retry"
    SCHEDULED = "scheduled"
    DEAD = "dead"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Completion:
    """A record is finished here: its offset may be committed together with its forward, if any."""

    source: Partition
    offset: int
    ending: Ending
    forward: OutRecord | None = None
