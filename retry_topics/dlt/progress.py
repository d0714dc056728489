"""How far a job is, by the journal: what it has left, what it did, and what it still waits for."""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from retry_topics.dlt import jobs
from retry_topics.dlt.archive import Archive
from retry_topics.dlt.outcomes import Awaited, Outcome, Outcomes
from retry_topics.dlt.queue import Queue
from schemas.dlt_journal import (
    NO_EVENT,
    DltEntry,
    EntryKey,
    EntryState,
    Position,
    glimpse,
    parse_key,
    read_dlt_entry,
)
from schemas.errors import Undecodable

_OUTCOMES: Final = {
    jobs.SENT: Outcome.SENT,
    jobs.DEAD_AGAIN: Outcome.DEAD_AGAIN,
    jobs.ENDED_OTHERWISE: Outcome.ENDED,
    jobs.RETRYING: Outcome.RETRYING,
}
_ENDS: Final = {
    EntryState.SENT: jobs.SENT,
    EntryState.DEAD_AGAIN: jobs.DEAD_AGAIN,
    EntryState.ENDED: jobs.ENDED_OTHERWISE,
}


@dataclass(slots=True)
class Progress:
    """`counts` by the names in `jobs`; `claims` are the keys of the job's claims by lane.

    `awaited` are the mails that were replayed and whose end the journal does not know.
    """

    queue: Queue
    counts: Counter[str]
    claims: list[tuple[int, bytes]]
    awaited: dict[bytes, Awaited] = field(default_factory=dict)

    def numbers(self, outcomes: Outcomes) -> dict[str, int]:
        """Return how far the job is, with outcomes that were heard since."""
        heard = outcomes.counts
        ends = {
            name: self.counts[name] + heard.get(outcome, 0) for name, outcome in _OUTCOMES.items()
        }
        return {jobs.REPLAYED: self.counts[jobs.REPLAYED], **ends}


def load(archive: Archive, job: str) -> Progress:
    """Return how far a job is.

    Raises:
        KafkaFault: the journal cannot be read.
    """
    reader = _Entries(archive.topic_id, job)
    left: dict[int, array[int]] = {}
    claims: list[tuple[int, bytes]] = []
    for shelf in archive.shelves(heard=reader.hear):
        for lane in shelf.values():
            left[lane.number] = lane.states.left(job)
            claims += [(lane.number, key) for key in lane.states.claims(job)]
    return Progress(Queue(left), reader.counts(), claims, reader.awaited())


class _Entries:
    """The last entry of each record, as far as it is about one job."""

    def __init__(self, topic_id: str, job: str) -> None:
        self._topic_id = topic_id
        self._job = job
        self._replayed: dict[Position, DltEntry] = {}
        self._ended: dict[Position, EntryState] = {}

    def hear(self, key: bytes | None, value: bytes | None) -> None:
        parsed = parse_key(key)
        if not isinstance(parsed, EntryKey) or parsed.topic_id != self._topic_id:
            return
        position = parsed.position
        self._replayed.pop(position, None)
        self._ended.pop(position, None)
        try:
            if value is None or glimpse(value).job != self._job:
                return
            entry = read_dlt_entry(value)
        except Undecodable:
            return
        if entry.state is EntryState.REPLAYED:
            self._replayed[position] = entry
        else:
            self._ended[position] = entry.state

    def counts(self) -> Counter[str]:
        counts = Counter(_ENDS[state] for state in self._ended.values() if state in _ENDS)
        counts[jobs.REPLAYED] = len(self._replayed) + len(self._ended)
        return counts

    def awaited(self) -> dict[bytes, Awaited]:
        return {
            entry.event_id: Awaited(position, entry.generation)
            for position, entry in self._replayed.items()
            if entry.event_id != NO_EVENT
        }
