"""What the ledger and the suppressions say of many mails at once, read in bounded memory."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from retry_topics.dlt.log import Log
from retry_topics.topology import Topology
from schemas.errors import Undecodable
from schemas.ledger import Standing, peek


class Lookup:
    """Reads whole lanes of the ledger for as many mails as it is asked about."""

    def __init__(self, log: Log, topology: Topology) -> None:
        self._log = log
        self._topology = topology
        self._suppressed: Mapping[int, set[bytes]] | None = None

    def standings(
        self, lanes: Collection[int], event_ids: Collection[bytes]
    ) -> dict[bytes, Standing]:
        """Return the ledger's last word on these mails; it has forgotten those that are missing.

        Within a lane the later entry counts, between lanes the higher generation and step.
        """
        found: dict[bytes, Standing] = {}
        wanted = event_ids if isinstance(event_ids, set | frozenset | dict) else set(event_ids)
        equal: dict[Standing, Standing] = {}
        every = self._log.spans(self._topology.ledger)
        by_lane: dict[int, dict[bytes, Standing]] = {lane: {} for lane in sorted(lanes)}
        spans = {lane: every[lane] for lane in by_lane}
        for lane, messages in self._log.read(self._topology.ledger, spans):
            of_lane = by_lane[lane]
            for key, value, _ in messages:
                if key in wanted and key is not None and value is not None:
                    try:
                        standing = peek(value)
                    except Undecodable:
                        continue
                    # Most are alike: one of each is kept.
                    of_lane[key] = equal.setdefault(standing, standing)
        while by_lane:
            _, of_lane = by_lane.popitem()
            if not found:
                found = of_lane
                continue
            for key, standing in of_lane.items():
                before = found.get(key)
                if before is None or before.place <= standing.place:
                    found[key] = standing
        return found

    def suppressed(self, lane: int) -> Collection[bytes]:
        """Return the hashes of the recipients of a lane that get no more mail; read once."""
        known = self._suppressed
        if known is None:
            known = self._suppressed = self._read_suppressed()
        return known.get(lane, ())

    def _read_suppressed(self) -> Mapping[int, set[bytes]]:
        hashes: defaultdict[int, set[bytes]] = defaultdict(set)
        topic = self._topology.suppressions
        for lane, messages in self._log.read(topic, self._log.spans(topic)):
            of_lane = hashes[lane]
            for key, value, _ in messages:
                if key is not None:
                    (of_lane.discard if value is None else of_lane.add)(key)
        return hashes
