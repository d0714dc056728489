"""Fetches the ledgers of lanes that are assigned, and lets go of those that are not any more.

Between the poll thread, which asks, the restorer's thread, which fetches, and the event loop, which
owns a ledger once it is there.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from consumers.mailer.ledger.gathering import GatheringStore
from consumers.mailer.ledger.lane import Acceptances, LaneLedger, RecordKey
from consumers.mailer.ledger.restore import RestoreFailed, Ticket
from consumers.mailer.ledger.store import LaneStore


class Restoring(Protocol):
    """Restores stores; see `consumers.mailer.ledger.restore.Restorer`."""

    def restore(self, lane: int, done: Callable[[LaneStore | RestoreFailed], None]) -> Ticket: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """A lane's ledger is there, or cannot be: then nothing of the lane can run here.

    `asker` is the object that asked, which tells one assignment of a lane from another.
    """

    asker: object
    result: LaneLedger | RestoreFailed


class LedgerDesk:
    """Asked by the poll thread."""

    def __init__(
        self,
        restorer: Restoring,
        journal: Acceptances | None,
        read_journals: Callable[[int], Mapping[RecordKey, str]],
        afterwards: Callable[[Callable[[], object]], None],
    ) -> None:
        """`afterwards` calls something on the loop, behind what was asked of the engine before."""
        self._restorer = restorer
        self._journal = journal
        self._read_journals = read_journals
        self._afterwards = afterwards

    def fetch(self, lane: int, asker: object, report: Callable[[Fetched], object]) -> Ticket:
        """Begin to restore a lane; `report` is called from another thread when that is done."""

        def done(result: LaneStore | RestoreFailed) -> None:
            if isinstance(result, RestoreFailed):
                report(Fetched(asker, result))
                return
            # Read last: whoever had the lane on this host has written its last line by now.
            accepted = self._read_journals(lane)
            store = GatheringStore(result)
            report(Fetched(asker, LaneLedger(lane, store, self._journal, accepted)))

        return self._restorer.restore(lane, done)

    def let_go(self, ledger: LaneLedger, seconds: float) -> bool:
        """Close a ledger that nobody is to use any more; False if the loop does not let it go.

        The store is closed here, not on the loop: the disk takes its time.
        """
        ledger.gone = True
        left = threading.Event()
        # What was given up before hears of it in the first turn of the loop, and ends in it.
        self._afterwards(lambda: self._afterwards(left.set))
        if not left.wait(seconds):
            return False
        ledger.store.close()
        return True
