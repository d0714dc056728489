"""Mails in the topic of a tier that is none any more: nobody would read them before they go."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from retry_topics.topic_specs import orphans_of
from retry_topics.topology import Topology
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span

#: One mail is too many already, so nobody waits until all are counted.
_MOST: Final = 1_000

#: The group's committed offsets of partitions, without those that it has never committed.
Committed = Callable[[Iterable[Partition]], Mapping[Partition, int]]
#: Reads spans of partitions, without what was never committed.
Read = Callable[[Mapping[Partition, Span]], Iterator[Record]]


def stranded(topology: Topology, admin: TopicAdmin, committed: Committed, read: Read) -> list[str]:
    """Return which topics hold mails that no worker of this topology would send; [] is good.

    Raises:
        KafkaFault: the cluster cannot be asked.
    """
    orphans = orphans_of(topology, admin.names())
    if not orphans:
        return []
    spans = admin.spans(orphans)
    left = unread(spans, committed(spans))
    counts = Counter(record.topic for record in islice(read(left), _MOST))
    return [told(topology, topic, count) for topic, count in sorted(counts.items())]


def unread(
    spans: Mapping[Partition, Span], committed: Mapping[Partition, int]
) -> dict[Partition, Span]:
    """Return what the group has not finished of each partition."""
    left = {}
    for partition, span in spans.items():
        start = max(span.start, committed.get(partition, span.start))
        if start < span.end:
            left[partition] = Span(start, span.end)
    return left


def told(topology: Topology, topic: str, count: int) -> str:
    """Return what is wrong, and what mends it."""
    label = topic.removeprefix(f"{topology.prefix}.retry.")
    mails = f"{_MOST:,} mails or more" if count >= _MOST else f"{count:,} mails"
    return (
        f"{topic} holds {mails}, and {label} is no tier, so that nobody would send them; add "
        f"{label} to MAILCASCADE_TIERS again until it has run empty"
    )
