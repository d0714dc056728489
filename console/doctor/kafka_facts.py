"""What the Kafka checks go by, asked once. What cannot be asked is told so, and hides nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from console.doctor.finding import Answer, Unasked
from retry_topics.stranded import stranded
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties
from runtime.kafka.errors import KafkaDenied, KafkaFault
from runtime.kafka.groups import GroupReader
from runtime.kafka.inspection import GroupState, Inspector
from runtime.kafka.reader import TopicReader
from runtime.kafka.topics import TopicState

T = TypeVar("T")

#: How long one question may take, in seconds.
ASK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """A cluster, as it is.

    `nodes` is the number of its brokers; `brokers` have each one's configuration. `waiting` are
    the records of the main topic and the tiers that the workers' group has not finished.
    `stranded` tells which topics of former tiers hold mails, and what mends it.
    `transactions` is whether we may use one, in which case they work.
    """

    nodes: int
    brokers: Answer[Mapping[int, Mapping[str, str]]]
    topics: Answer[Mapping[str, TopicState]]
    names: Answer[frozenset[str]]
    stranded: Answer[Sequence[str]]
    group: Answer[GroupState]
    waiting: Answer[int]
    transactions: Answer[bool]


def gather(properties: Properties, topology: Topology, clock: Clock) -> Answer[KafkaFacts]:
    """Ask the cluster; one that does not answer at all is not asked for more."""
    admin = asked(lambda: TopicAdmin(properties, ASK_SECONDS))
    if isinstance(admin, Unasked):
        return admin
    nodes = asked(lambda: admin.ping(ASK_SECONDS))
    if isinstance(nodes, Unasked):
        return nodes
    inspector = Inspector(properties, ASK_SECONDS)
    names = [spec.name for spec in desired(topology, 1)]
    topics = asked(lambda: admin.topics(names))
    return KafkaFacts(
        nodes=nodes,
        brokers=asked(inspector.brokers),
        topics=topics,
        names=asked(admin.names),
        stranded=asked(lambda: _stranded(properties, topology, admin, clock)),
        group=asked(lambda: inspector.group(topology.group)),
        waiting=asked(lambda: _waiting(properties, topology, admin)),
        transactions=asked(lambda: _transactions(inspector, topology)),
    )


def _stranded(
    properties: Properties, topology: Topology, admin: TopicAdmin, clock: Clock
) -> list[str]:
    group = GroupReader(properties, topology.group, ASK_SECONDS)
    reader = TopicReader(properties, clock, ASK_SECONDS)
    return stranded(topology, admin, group.committed, reader.read)


def _transactions(inspector: Inspector, topology: Topology) -> bool:
    try:
        inspector.try_transactions(probe_id(topology))
    except KafkaDenied:
        return False
    return True


def probe_id(topology: Topology) -> str:
    """Return a transactional id that nobody works with, among those of the workers."""
    return f"{topology.prefix}.doctor"


def _waiting(properties: Properties, topology: Topology, admin: TopicAdmin) -> int:
    existing = admin.names()
    spans = admin.spans([name for name in topology.consumed if name in existing])
    committed = GroupReader(properties, topology.group, ASK_SECONDS).committed(spans)
    return sum(
        max(0, span.end - max(span.start, committed.get(place, span.start)))
        for place, span in spans.items()
    )


def newest_record_ms(properties: Properties, topology: Topology) -> Answer[int | None]:
    """Return the highest timestamp in the topics that we write to; None where they are empty."""

    def ask() -> int | None:
        admin = TopicAdmin(properties, ASK_SECONDS)
        admin.ping(ASK_SECONDS)
        wanted = {topology.main, topology.ledger} & admin.names()
        if not wanted:
            return None
        return Inspector(properties, ASK_SECONDS).newest(list(admin.spans(sorted(wanted))))

    return asked(ask)


def asked(question: Callable[[], T]) -> Answer[T]:
    """Return the answer, or why there is none."""
    try:
        return question()
    except KafkaFault as fault:
        return Unasked(str(fault))
