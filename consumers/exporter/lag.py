"""How far behind a lane is: arithmetic over what Kafka says of one partition.

    start ...... committed ...... reached ...... end
                 |<-- sampled -->|<- estimated ->|

Offsets are not records: every transaction leaves a marker, which takes an offset and is never read.
So what stands behind the committed offset is counted as far as it was looked at, and what comes
after that is taken to be of the same mixture.
"""

from collections.abc import Iterable
from typing import NamedTuple

from runtime.kafka.heads import Sample
from runtime.kafka.topics import Span


class Oldest(NamedTuple):
    """The first record of a lane that is not finished; milliseconds since the epoch.

    `written_at` is when it came to where it is, `due_at` when it may be sent.
    """

    written_at: int
    due_at: int


class LaneLag(NamedTuple):
    """How far behind a lane of a topic is. `oldest` is None where nothing is left, or unknown."""

    committed: int
    records: int
    oldest: Oldest | None

    @property
    def is_known(self) -> bool:
        """Tell whether the oldest record is known, if there is one."""
        return self.oldest is not None or not self.records


class TopicLag(NamedTuple):
    """How far behind a topic is, over its lanes. Milliseconds, never below zero.

    `overdue_ms` is for how long the oldest record of a lane has been due at most,
    `retention_left_ms` the time until the topic may lose one, None where it never does.
    """

    committed: int
    overdue_ms: int
    retention_left_ms: int | None


def next_offset(committed: int | None, span: Span) -> int:
    """Return the offset at which the group goes on: what was never committed begins at the start.

    What was committed and is not there, because it was deleted or never was, is passed over.
    """
    if committed is None:
        return span.start
    return min(max(committed, span.start), span.end)


def needs_sample(sample: Sample | None, at: int, end: int, most: int) -> bool:
    """Tell whether what is known says nothing of a lane that goes on at `at` and ends at `end`.

    A lane that stands still is not read again and again, however far it is behind.
    """
    if at >= end:
        return False
    if sample is None or sample.start != at:
        return True
    # One that reaches beyond the end is of a topic that was there before.
    return sample.reached > end or (sample.records < most and sample.reached < end)


def records_left(sample: Sample, end: int) -> int:
    """Return how many records there are from the sample's start up to `end`."""
    beyond = end - sample.reached
    if beyond <= 0:
        return sample.records
    if not sample.records:
        return beyond
    return sample.records + round(beyond * sample.records / (sample.reached - sample.start))


def age_ms(oldest: Oldest | None, now: int) -> int:
    """Return how old a lane's oldest record is; 0 where there is none."""
    return 0 if oldest is None else max(0, now - oldest.written_at)


def topic_lag(lanes: Iterable[LaneLag], retention_ms: int | None, now: int) -> TopicLag:
    """Return how far behind a topic is. `retention_ms` is None where it keeps records for ever."""
    committed, overdue, eldest = 0, 0, now
    for lane in lanes:
        committed += lane.committed
        if lane.oldest is not None:
            overdue = max(overdue, now - lane.oldest.due_at)
            eldest = min(eldest, lane.oldest.written_at)
    left = None if retention_ms is None else max(0, eldest + retention_ms - now)
    return TopicLag(committed, overdue, left)
