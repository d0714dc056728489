"""What is out in the workers, as the view keeps it, and which mails wait where they are for it.

The last notice of each worker is a row, in JSON. Workers repeat theirs every minute; one that has
not been repeated for a while is of a worker that is gone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.mail_states import MailState
from schemas.outages import KnownOutage, WorkerOutages

#: A notice that is older counts no more: three of its repeats are missing.
FRESH_MS: Final = 180_000

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(WorkerOutages)


@dataclass(frozen=True, slots=True)
class SharedOutage:
    """One thing that is out, and in which workers; of several the oldest tells since when."""

    outage: KnownOutage
    workers: tuple[str, ...]


def write_told(told: WorkerOutages) -> str:
    """Return a worker's notice as its row keeps it."""
    return _ENCODER.encode(told).decode()


def read_told(text: str) -> WorkerOutages:
    """Return the notice in a row."""
    return _DECODER.decode(text)


def may_wait(state: MailState, due_at: int | None, now: int) -> bool:
    """Tell whether nothing but an outage, or the queue before it, keeps a mail from its turn."""
    if state in (MailState.RETRY, MailState.SCHEDULED):
        return due_at is not None and due_at <= now
    return state is MailState.QUEUED


def pausing(told: Iterable[WorkerOutages], lane: int) -> tuple[KnownOutage, ...]:
    """Return why the mails of a lane wait where they are, the oldest first; () where they do not.

    While a lane moves, two workers may tell of it; what both tell counts once.
    """
    found: dict[tuple[str, str], KnownOutage] = {}
    for worker in told:
        if lane in worker.lanes:
            for outage in worker.outages:
                if outage.pauses:
                    found.setdefault((outage.kind, outage.what), outage)
    return tuple(sorted(found.values(), key=lambda outage: outage.since))


def shared(told: Sequence[WorkerOutages]) -> list[SharedOutage]:
    """Return everything that is out in any worker: what pauses lanes first, then the oldest."""
    found: dict[tuple[str, str], SharedOutage] = {}
    for worker in told:
        for outage in worker.outages:
            key = outage.kind, outage.what
            known = found.get(key)
            if known is None:
                found[key] = SharedOutage(outage, (worker.worker,))
            else:
                first = min(known.outage, outage, key=_order)
                found[key] = SharedOutage(first, (*known.workers, worker.worker))
    return sorted(found.values(), key=lambda each: _order(each.outage))


def _order(outage: KnownOutage) -> tuple[bool, int]:
    return not outage.pauses, outage.since
