"""Asking and changing a cluster's topics; every call is bounded and raises `KafkaFault`s."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

import tenacity
from confluent_kafka import (
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
    TopicPartitionInfo,
)

# The package imports these names for its users without declaring that it exports them.
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    TopicDescription,
)

from runtime.kafka.client import Properties
from runtime.kafka.errors import (
    KafkaFault,
    KafkaRetriable,
    KafkaUnreachable,
    TopicMissing,
    properties_taken,
    translate,
)
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span, TopicSpec, TopicState

T = TypeVar("T")

#: Seconds beyond a request's own time-out after which its future counts as lost.
_GRACE: Final = 2.0
#: What the client would log is in the errors that we raise, so it keeps to emergencies.
_QUIET: Final = 0


class TopicAdmin:
    """A cluster's topics. `properties` come from `client_properties`; thread-safe.

    Made without connecting; a `KafkaRefused` where the client library does not take a property.
    """

    def __init__(self, properties: Properties, timeout_seconds: float = 10.0) -> None:
        self._address = str(properties["bootstrap.servers"])
        self._timeout = timeout_seconds
        self._last_fault = ""
        hooks = {"error_cb": self._remember_fault}
        with properties_taken():
            self._client = AdminClient({**properties, "log_level": _QUIET}, **hooks)

    def ping(self, timeout_seconds: float = 5.0) -> int:
        """Return how many brokers there are.

        Raises:
            KafkaUnreachable: nobody answers within the time.
        """
        try:
            metadata = self._client.list_topics(timeout=timeout_seconds)
        except KafkaException as error:
            raise self._fault(error) from error
        return len(metadata.brokers)

    def cluster_id(self) -> str:
        """Return the cluster's id."""
        try:
            return self._client.cluster_id(timeout=self._timeout)
        except KafkaException as error:
            raise self._fault(error) from error

    def names(self) -> frozenset[str]:
        """Return the names of all topics."""
        try:
            return frozenset(self._client.list_topics(timeout=self._timeout).topics)
        except KafkaException as error:
            raise self._fault(error) from error

    def topics(self, names: Iterable[str]) -> dict[str, TopicState]:
        """Return the topics of these names that exist, with their whole configuration."""
        described = self._describe(list(names))
        if not described:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in described]
        futures = self._client.describe_configs(resources, request_timeout=self._timeout)
        states = {}
        for resource, future in futures.items():
            need = f"DescribeConfigs on the topic {resource.name}"
            entries: dict[str, ConfigEntry] = self._result(future, need)
            partitions = described[resource.name].partitions
            states[resource.name] = TopicState(
                name=resource.name,
                partitions=len(partitions),
                replication=min(len(partition.replicas) for partition in partitions),
                configs={
                    name: entry.value for name, entry in entries.items() if entry.value is not None
                },
                in_sync=min(map(_in_sync, partitions)),
            )
        return states

    def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics and wait until they can be used; one that exists already is left alone."""
        new = [
            NewTopic(spec.name, spec.partitions, spec.replication, config=dict(spec.configs))
            for spec in specs
        ]
        if not new:
            return
        futures = self._client.create_topics(new, request_timeout=self._timeout)
        for name, future in futures.items():
            self._unless(future, KafkaError.TOPIC_ALREADY_EXISTS, f"Create on the topic {name}")
        self._await_leaders({spec.name: spec.partitions for spec in specs})

    def grow(self, name: str, partitions: int) -> None:
        """Raise a topic's number of partitions to `partitions` and wait until they can be used."""
        new = [NewPartitions(name, partitions)]
        for future in self._client.create_partitions(new, request_timeout=self._timeout).values():
            self._result(future, f"Alter on the topic {name}")
        self._await_leaders({name: partitions})

    def configure(self, name: str, configs: Mapping[str, str]) -> None:
        """Set these configurations of a topic and wait until they show; the others stay."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in configs.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        futures = self._client.incremental_alter_configs([resource], request_timeout=self._timeout)
        for future in futures.values():
            self._result(future, f"AlterConfigs on the topic {name}")
        wanted = configs.items()
        self._await(lambda: wanted <= self.topics([name])[name].configs.items(), [name])

    def spans(self, topics: Sequence[str]) -> dict[Partition, Span]:
        """Return the first offset and the high watermark of every partition of these topics.

        Raises:
            TopicMissing: one of the topics does not exist.
        """
        described = self._describe(topics)
        if missing := sorted(set(topics) - described.keys()):
            raise TopicMissing.named(*missing)
        return self.partition_spans(
            [
                Partition(name, info.id)
                for name, description in described.items()
                for info in description.partitions
            ]
        )

    def partition_spans(self, partitions: Sequence[Partition]) -> dict[Partition, Span]:
        """Return the first offset and the high watermark of each of these partitions.

        Raises:
            KafkaFault: a partition does not exist or cannot be asked.
        """
        # The client library gives these two constructors no annotations.
        earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        starts = self._offsets(partitions, earliest)
        ends = self._offsets(partitions, latest)
        return {partition: Span(starts[partition], ends[partition]) for partition in partitions}

    def offsets_since(
        self, partitions: Sequence[Partition], instant_ms: int
    ) -> dict[Partition, int]:
        """Return of each partition the offset of the first record at an instant or later.

        A partition without such a record is left out. The time is the record's own timestamp.
        """
        since = OffsetSpec.for_timestamp(instant_ms)
        found = self._offsets(partitions, since)
        return {partition: offset for partition, offset in found.items() if offset >= 0}

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return the id of each of these topics; one that is made anew has another.

        Raises:
            TopicMissing: one of the topics does not exist.
        """
        described = self._describe(names)
        if missing := sorted(set(names) - described.keys()):
            raise TopicMissing.named(*missing)
        return {name: str(description.topic_id) for name, description in described.items()}

    def _offsets(self, partitions: Sequence[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(0.1),
            retry=tenacity.retry_if_exception_type(KafkaRetriable),
            reraise=True,
        )
        return retrying(self._offsets_now, partitions, spec)

    def _offsets_now(
        self, partitions: Sequence[Partition], spec: OffsetSpec
    ) -> dict[Partition, int]:
        request = {TopicPartition(topic, number): spec for topic, number in partitions}
        futures = self._client.list_offsets(request, request_timeout=self._timeout)
        return {
            Partition(key.topic, key.partition): self._result(
                future, f"Describe on the topic {key.topic}"
            ).offset
            for key, future in futures.items()
        }

    def _describe(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        if not names:
            return {}
        futures = self._client.describe_topics(
            TopicCollection(list(names)), request_timeout=self._timeout
        )
        found = {}
        for name, future in futures.items():
            description = self._unless(
                future, KafkaError.UNKNOWN_TOPIC_OR_PART, f"Describe on the topic {name}"
            )
            if description is not None:
                found[name] = description
        return found

    def _await_leaders(self, wanted: Mapping[str, int]) -> None:
        """Return when every partition has a leader: brokers learn of new ones one by one."""

        def ready() -> bool:
            described = self._describe(list(wanted))
            return all(
                name in described
                and len(described[name].partitions) >= count
                and all(partition.leader is not None for partition in described[name].partitions)
                for name, count in wanted.items()
            )

        self._await(ready, wanted)

    def _await(self, ready: Callable[[], bool], topics: Iterable[str]) -> None:
        waiting = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(0.05),
            retry=tenacity.retry_if_result(lambda done: not done),
        )
        try:
            waiting(ready)
        except tenacity.RetryError as error:
            names = ", ".join(sorted(topics))
            message = f"{names}: the change does not show after {self._timeout:g} s"
            raise KafkaFault(message) from error

    def _unless(self, future: Future[T], harmless: int, need: str) -> T | None:
        """Return the result, or None where Kafka's answer is the error code `harmless`."""
        try:
            return self._result(future, need)
        except KafkaFault as fault:
            cause = fault.__cause__
            if isinstance(cause, KafkaException) and cause.args[0].code() == harmless:
                return None
            raise

    def _result(self, future: Future[T], need: str = "") -> T:
        try:
            return future.result(self._timeout + _GRACE)
        except TimeoutError as error:
            raise KafkaUnreachable(self._address, "there was no answer in time") from error
        except KafkaException as error:
            raise self._fault(error, need) from error

    def _remember_fault(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._last_fault = error.str()

    def _fault(self, error: KafkaException, need: str = "") -> KafkaFault:
        fault = translate(error, self._address, need)
        if isinstance(fault, KafkaUnreachable) and self._last_fault:
            return KafkaUnreachable(self._address, f"{fault.hint}; {self._last_fault}", fault.code)
        return fault


def _in_sync(partition: TopicPartitionInfo) -> int:
    has_leader = partition.leader is not None
    return len(partition.isr) if has_leader else 0
