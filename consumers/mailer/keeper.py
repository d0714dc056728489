"""Brings what was committed into the lanes' stores, after the transaction and never before.

Called by the committer's thread only.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from consumers.mailer.committer import Batch, in_order
from consumers.mailer.completion import Change, SuppressionChange
from consumers.mailer.ledger.lane import LaneLedger
from consumers.mailer.ledger.store import Changes, StoreFault
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.records import Partition

_DAY_MS: Final = 86_400_000


class Keeper:
    """Knows on which day each lane's store was last rid of what is too old."""

    def __init__(
        self,
        topology: Topology,
        clock: Clock,
        afterwards: Callable[[Callable[[], object]], None],
    ) -> None:
        """`afterwards` calls something on the event loop, which owns the ledgers."""
        self._topology = topology
        self._clock = clock
        self._afterwards = afterwards
        self._pruned: dict[int, int] = {}

    def keep(self, batches: Iterable[Batch], written: Mapping[Partition, int]) -> None:
        """Store what these batches changed; `written` as in `CommitterParts.keep`.

        Raises:
            StoreFault: a store cannot be written, although its lane is still ours.
        """
        kept: list[Callable[[], None]] = []
        by_ledger: dict[LaneLedger, list[Batch]] = {}
        for batch in batches:
            by_ledger.setdefault(batch.ledger, []).append(batch)
        for ledger, theirs in by_ledger.items():
            done = in_order(theirs)
            changes = [c.change for c in done if c.change is not None]
            suppressions = [c.suppression for c in done if c.suppression is not None]
            if changes or suppressions:
                self._keep(ledger, changes, suppressions, written)
                kept.append(partial(ledger.committed, changes, suppressions))
        if kept:
            # All lanes at once: to wake the loop costs more than what it is woken for.
            self._afterwards(lambda: [forget() for forget in kept])

    def _keep(
        self,
        ledger: LaneLedger,
        changes: list[Change],
        suppressions: list[SuppressionChange],
        written: Mapping[Partition, int],
    ) -> None:
        topics = (self._topology.ledger, self._topology.suppressions)
        partitions = (Partition(topic, ledger.lane) for topic in topics)
        day = self._clock.now_ms() // _DAY_MS
        stored = Changes(
            entries=[(change.event_id, change.standing) for change in changes],
            suppressions=[(change.address_hash, change.suppressed) for change in suppressions],
            offsets={p: written[p] + 1 for p in partitions if p in written},
            day=day,
        )
        try:
            ledger.store.apply(stored)
            if self._pruned.get(ledger.lane) != day:
                self._pruned[ledger.lane] = day
                ledger.store.prune(day)
        except StoreFault:
            # The next owner reads it from the topic.
            if not ledger.gone:
                raise
