"""What a worker's lanes hold on the disk, and which of them wait for it."""

from collections.abc import Iterable
from typing import NamedTuple

from consumers.mailer.lanes import Lane
from consumers.mailer.ledger.faults import StoreFault


class Census(NamedTuple):
    """The sizes of the ledgers that are there, and how many are not there yet.

    `waits_since` is when the first of those was asked for, milliseconds since the epoch.
    """

    entries: int
    bytes: int
    restoring: int
    waits_since: int | None


def count(lanes: Iterable[Lane]) -> Census:
    """Count; from any thread. A lane that goes meanwhile is left out."""
    entries = size = 0
    waiting = []
    for lane in lanes:
        ledger = lane.ledger
        if ledger is None:
            if lane.restoring is not None:
                waiting.append(lane.asked_at)
            continue
        try:
            of_lane = ledger.store.size()
        except StoreFault:
            continue
        entries += of_lane[0]
        size += of_lane[1]
    return Census(entries, size, len(waiting), min(waiting, default=None))
