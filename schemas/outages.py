"""What is out in each worker: the outages topic's records, keyed by the worker's name."""

from dataclasses import asdict, dataclass
from typing import Final

from schemas.framing import framing

KIND: Final = "worker_outages"
#: Why something is out is kept up to this many characters.
REASON_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class KnownOutage:
    """One thing that is out, `since` when (milliseconds since the epoch).

    It `pauses` where no mail of the worker's lanes can go out because of it.
    """

    kind: str
    what: str
    reason: str
    rule: str
    since: int
    pauses: bool


@dataclass(frozen=True, slots=True)
class WorkerOutages:
    """All that was out in a worker `at` an instant, and the lanes that it owned then.

    `lanes` is empty where nothing was out.
    """

    worker: str
    at: int
    lanes: tuple[int, ...] = ()
    outages: tuple[KnownOutage, ...] = ()


def write_outages(told: WorkerOutages) -> bytes:
    """Return the value as the topic holds it."""
    return framing(KIND).write(asdict(told))


def read_outages(value: bytes | None) -> WorkerOutages:
    """Return what a record's value tells.

    Raises:
        Undecodable: the bytes tell nothing of that kind.
    """
    fields = framing(KIND).read(value)
    outages = tuple(KnownOutage(**outage) for outage in fields["outages"])
    return WorkerOutages(fields["worker"], fields["at"], tuple(fields["lanes"]), outages)
