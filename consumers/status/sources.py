"""What there is to project, and whether it is what the view was made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.status.projected import projected_topics
from consumers.status.store import OtherSource, Source
from retry_topics.topology import Topology
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span

_ANEW = "make the view anew with `mailcascade projector --rebuild`"


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster and the topics as they are, with each partition's offsets."""

    source: Source
    spans: Mapping[Partition, Span]


class Sources:
    """Looks at the topics that the view is made from."""

    def __init__(self, admin: TopicAdmin, topology: Topology) -> None:
        self._admin = admin
        self._topics = projected_topics(topology)

    def look(self) -> Seen:
        """Return what there is.

        Raises:
            TopicMissing: one of the topics does not exist.
            KafkaFault: the cluster cannot be asked.
        """
        source = Source(self._admin.cluster_id(), self._admin.topic_ids(self._topics))
        return Seen(source, self._admin.spans(self._topics))


def check_source(known: Source | None, there: Source) -> None:
    """Make sure that a view is of the topics that there are.

    Raises:
        OtherSource: it is of another cluster, of other topics, or of topics that were made anew.
    """
    if known is None:
        return
    if known.cluster_id != there.cluster_id:
        raise OtherSource(
            f"the view is of the cluster {known.cluster_id}, and this is {there.cluster_id}; "
            f"use another database, or {_ANEW}"
        )
    for topic, topic_id in known.topics.items():
        if topic not in there.topics:
            raise OtherSource(f"the view is of the topic {topic}; use another database, or {_ANEW}")
        if there.topics[topic] != topic_id:
            raise OtherSource(
                f"the topic {topic} was deleted and made anew since the view was made; {_ANEW}"
            )


def spans_left(
    positions: Mapping[Partition, int], spans: Mapping[Partition, Span]
) -> dict[Partition, Span]:
    """Return where each partition is to be followed from, and where it ends at the moment.

    What Kafka deleted meanwhile is passed over: `start` is then beyond the position.

    Raises:
        OtherSource: more was projected than there is.
    """
    left = {}
    for partition, span in spans.items():
        position = positions.get(partition, span.start)
        if position > span.end:
            topic, number = partition
            raise OtherSource(
                f"{topic}-{number} ends at {span.end}, and the view was projected up to "
                f"{position}: records were lost; {_ANEW}"
            )
        left[partition] = Span(max(position, span.start), span.end)
    return left
