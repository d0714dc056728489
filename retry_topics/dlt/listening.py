"""Following the ledger for what becomes of replayed mails."""

from collections.abc import Mapping
from typing import Final

from retry_topics.dlt.log import Following, Log
from retry_topics.dlt.lookup import Lookup
from retry_topics.dlt.outcomes import Awaited, Outcomes, Settled
from retry_topics.topology import Topology
from runtime.kafka.records import Partition
from schemas.errors import Undecodable
from schemas.ledger import peek

_MOST: Final = 2_000
#: Ends that are told at the next moment instead of at the next sign of life.
_MUCH: Final = 500


class Listener:
    """Hears from the ledger how replayed mails end. Owned by one thread."""

    def __init__(self, log: Log, topology: Topology) -> None:
        self._log = log
        self._topology = topology
        self._following: Following | None = None
        self._settled: list[Settled] = []
        self.outcomes = Outcomes()

    def begin(self, awaited: Mapping[bytes, Awaited]) -> None:
        """Begin anew with mails that were replayed before; what they became by now is heard."""
        self.close()
        self.outcomes = Outcomes()
        self._settled = []
        spans = self._log.spans(self._topology.ledger)
        self._following = self._log.follow(
            {
                Partition(self._topology.ledger, number): span._replace(start=span.end)
                for number, span in spans.items()
            }
        )
        for event_id, one in awaited.items():
            self.outcomes.expect(event_id, one)
        if awaited:
            standings = Lookup(self._log, self._topology).standings(spans.keys(), set(awaited))
            for event_id, standing in standings.items():
                self._note(self.outcomes.hear(event_id, standing))

    def listen(self, seconds: float) -> None:
        """Hear what there is, waiting at most so long for the first word."""
        if self._following is None:
            return
        while True:
            records = self._following.take(_MOST, seconds).records
            for record in records:
                if record.key is None or record.value is None:
                    continue
                try:
                    standing = peek(record.value)
                except Undecodable:
                    continue
                self._note(self.outcomes.hear(record.key, standing))
            if len(records) < _MOST:
                return
            seconds = 0

    def has_much_to_tell(self) -> bool:
        """Tell whether so many mails ended that the journal should hear of it."""
        return len(self._settled) >= _MUCH

    def settled(self) -> list[Settled]:
        """Return how mails ended since the last call."""
        settled, self._settled = self._settled, []
        return settled

    def close(self) -> None:
        """Stop following."""
        following, self._following = self._following, None
        if following is not None:
            following.close()

    def _note(self, settled: Settled | None) -> None:
        if settled is not None:
            self._settled.append(settled)
