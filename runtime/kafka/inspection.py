"""Asking a cluster how it is set up and what we may do in it; nothing of ours is changed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

import tenacity
from confluent_kafka import KafkaException, Producer, TopicCollection, TopicPartition

# The package imports these names for its users without declaring that it exports them.
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigEntry,
    ConfigResource,
    ConsumerGroupDescription,
    OffsetSpec,
)

from runtime.kafka.client import Properties, client_logger
from runtime.kafka.errors import (
    KafkaDenied,
    KafkaRetriable,
    KafkaUnreachable,
    TopicMissing,
    properties_taken,
    translate,
)
from runtime.kafka.records import Partition
from runtime.kafka.transactions import transaction_properties

T = TypeVar("T")

#: Seconds beyond a request's own time-out after which its future counts as lost.
_GRACE: Final = 1.0
_QUIET: Final = 0

#: What Kafka calls an operation, in the words of its command line, such as `DescribeConfigs`.
Operations = frozenset[str]


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group. `protocol` is `consumer`, `classic`, or "" where it has no members."""

    members: int
    protocol: str


class Inspector:
    """Asks one cluster. Every call blocks for some seconds at most and may raise a `KafkaFault`."""

    def __init__(self, properties: Properties, timeout_seconds: float = 5.0) -> None:
        self._properties = properties
        self._address = str(properties["bootstrap.servers"])
        self._timeout = timeout_seconds
        with properties_taken():
            self._client = AdminClient({**properties, "log_level": _QUIET})

    def brokers(self) -> dict[int, dict[str, str]]:
        """Return each broker's configuration. Needs `DescribeConfigs` on the cluster."""
        cluster = self._result(self._client.describe_cluster(request_timeout=self._timeout))
        resources = [ConfigResource(ConfigResource.Type.BROKER, str(n.id)) for n in cluster.nodes]
        futures = self._client.describe_configs(resources, request_timeout=self._timeout)
        found = {}
        for resource, future in futures.items():
            entries: dict[str, ConfigEntry] = self._result(future)
            found[int(resource.name)] = {
                name: entry.value for name, entry in entries.items() if entry.value is not None
            }
        return found

    def group(self, name: str) -> GroupState:
        """Return what a consumer group is like now; one that does not exist has no members."""
        described = self._of_group(name)
        members = len(described.members)
        return GroupState(members, described.type.name.lower() if members else "")

    def newest(self, partitions: Sequence[Partition]) -> int | None:
        """Return the highest timestamp of all records, in milliseconds; None without records."""
        # The client library gives this constructor no annotations.
        highest = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        request = {TopicPartition(topic, number): highest for topic, number in partitions}
        futures = self._client.list_offsets(request, request_timeout=self._timeout)
        stamps = [self._result(future).timestamp for future in futures.values()]
        return max((stamp for stamp in stamps if stamp >= 0), default=None)

    def allowed_on_cluster(self) -> Operations:
        """Return what we may do with the cluster itself."""
        cluster = self._result(
            self._client.describe_cluster(
                include_authorized_operations=True, request_timeout=self._timeout
            )
        )
        return _operations(cluster.authorized_operations)

    def allowed_on_topics(self, names: Sequence[str]) -> Mapping[str, Operations]:
        """Return what we may do with each topic that exists; nothing where it is hidden from us."""
        futures = self._client.describe_topics(
            TopicCollection(list(names)),
            include_authorized_operations=True,
            request_timeout=self._timeout,
        )
        allowed = {}
        for name, future in futures.items():
            try:
                allowed[name] = _operations(self._result(future).authorized_operations)
            except KafkaDenied:
                allowed[name] = frozenset()
            except TopicMissing:
                continue
        return allowed

    def allowed_on_group(self, name: str) -> Operations:
        """Return what we may do with a consumer group, which need not exist."""
        try:
            return _operations(self._of_group(name).authorized_operations)
        except KafkaDenied:
            return frozenset()

    def try_transactions(self, transactional_id: str) -> None:
        """Begin to use a transactional id, and no more: the brokers must be able to keep it."""
        producer = Producer(
            transaction_properties(self._properties, transactional_id), logger=client_logger()
        )
        try:
            producer.init_transactions(self._timeout)
        except KafkaException as error:
            need = f"Write on the transactional id {transactional_id}"
            raise translate(error, self._address, need) from error
        finally:
            _close(producer)

    def _of_group(self, name: str) -> ConsumerGroupDescription:
        """Ask again while the group's coordinator is not there yet, as on a new cluster."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(0.2),
            retry=tenacity.retry_if_exception_type(KafkaRetriable),
            reraise=True,
        )

        def ask() -> ConsumerGroupDescription:
            futures = self._client.describe_consumer_groups(
                [name], include_authorized_operations=True, request_timeout=self._timeout
            )
            described: ConsumerGroupDescription = self._result(futures[name])
            return described

        return retrying(ask)

    def _result(self, future: "Future[T]") -> T:
        try:
            return future.result(self._timeout + _GRACE)
        except TimeoutError as error:
            raise KafkaUnreachable(self._address, "there was no answer in time") from error
        except KafkaException as error:
            raise translate(error, self._address) from error


def _operations(found: Sequence[Enum] | None) -> Operations:
    """Return the operations in the words of `kafka-acls.sh`: ALTER_CONFIGS is AlterConfigs."""
    return frozenset(
        "".join(part.capitalize() for part in operation.name.split("_"))
        for operation in found or ()
    )


def _close(producer: Producer) -> None:
    try:
        producer.close()
    except KafkaException:
        # A producer that met a fatal error repeats it here; it has been told.
        return
