"""Gathers what changes in a lane and stores much of it at once: a write costs what many cost.

What is gathered is in memory only. A process that dies loses it together with its offsets, so who
restores the lane next reads it from the topic.
"""

import threading
from typing import Final

from consumers.mailer.ledger.faults import StoreFault
from consumers.mailer.ledger.lane import Store
from consumers.mailer.ledger.store import Changes
from runtime.kafka.records import Partition
from runtime.logs import get_logger
from schemas.ledger import Standing

_log = get_logger("store")

#: So many entries are stored at once.
MOST_ENTRIES: Final = 128


class GatheringStore:
    """A lane's store that is written to less often. Threads as for `LaneStore`."""

    def __init__(self, store: Store, most: int = MOST_ENTRIES) -> None:
        """`most` entries are gathered; a suppression or another day does not wait for others."""
        self._store = store
        self._most = most
        self._writing = threading.Lock()
        self._entries: dict[bytes, Standing] = {}
        self._offsets: dict[Partition, int] = {}
        self._day = 0

    def get(self, event_id: bytes) -> Standing | None:
        """Return what the last entry of a mail says, None if there is none."""
        return self._entries.get(event_id) or self._store.get(event_id)

    def suppression(self, address_hash: bytes) -> bool:
        """Tell whether the recipient with this hash gets no mail."""
        return self._store.suppression(address_hash)

    def size(self) -> tuple[int, int]:
        """Return how much is stored; see `LaneStore.size`."""
        return self._store.size()

    def apply(self, changes: Changes) -> None:
        """Take note of changes, and store what was gathered if it is time to.

        Raises:
            StoreFault: the store cannot be written.
        """
        with self._writing:
            if changes.day != self._day:
                self._write()
                self._day = changes.day
            self._entries.update(changes.entries)
            self._offsets.update(changes.offsets)
            if changes.suppressions or len(self._entries) >= self._most:
                self._write(changes)

    def prune(self, today: int) -> None:
        """Drop what is too old; see `LaneStore.prune`."""
        self._store.prune(today)

    def close(self) -> None:
        """Store what was gathered, and close the store."""
        with self._writing:
            try:
                self._write()
            except StoreFault as error:
                _log.warning("store.unwritten", entries=len(self._entries), reason=str(error))
            self._store.close()

    def _write(self, last: Changes | None = None) -> None:
        suppressions = () if last is None else last.suppressions
        if self._entries or self._offsets or suppressions:
            entries = list(self._entries.items())
            self._store.apply(Changes(entries, suppressions, self._offsets, self._day))
            # Replaced, not emptied: who looks up meanwhile finds an entry here or there.
            self._entries, self._offsets = {}, {}
